"""Triage over the message sets: nothing missed, few false alarms, as written and mutated; and the report that says so."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from evaluation.triage import Case, Message, MessagesError, TriageReport, assess_messages, read_messages, render
from qa.flags import load_rules
from tests.mutations import MUTATIONS, mutated

HERE = Path(__file__).resolve().parent
SETS = tuple(HERE / "data" / f"triage_{name}.tsv" for name in ("tuning", "held", "fresh"))
SEED = HERE.parents[1] / "shared" / "eval" / "seed" / "triage.tsv"
MOST_FALSE_ALARMS = 0.02
EXAMPLES = tuple(
    Message(level, text)
    for family in load_rules().families
    for level, texts in ((family.alert.level, family.positive), ("none", family.negative))
    for text in texts
)


def changed(messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(Message(m.level, text) for m in messages for _, text in mutated(m.question))


def assert_safe(report: TriageReport) -> None:
    assert (report.missed, report.wrong_level) == ((), ()), render(report)
    assert len(report.false_alarms) <= MOST_FALSE_ALARMS * report.quiet, render(report)


def test_the_sets_hold_enough_messages_each_written_once() -> None:
    messages = [message for path in SETS for message in read_messages(path)]
    due = [message for message in messages if message.level != "none"]
    assert len(due) >= 600
    assert len(messages) - len(due) >= 600
    assert {message.level for message in due} == {"emergency", "urgent", "crisis"}
    assert len({message.question.casefold() for message in messages}) == len(messages)


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_no_message_of_a_set_is_missed(path: Path) -> None:
    assert_safe(assess_messages(read_messages(path)))


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_no_mutated_message_of_a_set_is_missed(path: Path) -> None:
    assert_safe(assess_messages(changed(read_messages(path))))


def test_no_mutated_example_of_a_family_is_missed() -> None:
    assert_safe(assess_messages(changed(EXAMPLES)))


def test_no_mutated_tuning_message_of_the_evaluation_data_is_missed() -> None:
    if not SEED.exists():
        pytest.skip(f"the tuning messages are not beside this checkout: {SEED}")
    messages = read_messages(SEED)
    assert_safe(assess_messages(messages + changed(messages)))


def test_mutations_are_repeatable_and_differ_from_the_message() -> None:
    text = "Since yesterday I can't feel anything between my legs, and my back hurts."
    first = dict(mutated(text))
    assert first == dict(mutated(text))
    assert first != dict(mutated(text, seed=1))
    assert len(first) == len(MUTATIONS)
    assert {name for name, changed_text in first.items() if changed_text == text} == set()


def test_a_slip_leaves_the_first_letter_and_short_words_alone() -> None:
    for seed in range(50):
        for name, text in mutated("my poor bladder is numb", seed):
            if name.startswith(("letter", "neighbouring")):
                words = text.split()
                assert (words[0], words[1], words[3], words[4]) == ("my", "poor", "is", "numb")
                assert words[2][0] == "b"
                assert words[2] != "bladder"


def test_the_report_sorts_out_what_is_wrong() -> None:
    report = assess_messages(
        (
            Message("emergency", "I have gone numb between my legs"),
            Message("emergency", "which pillow is best?"),
            Message("emergency", "I want to kill myself"),
            Message("urgent", "I can't pee and my back hurts"),
            Message("none", "I can't pee and my back hurts"),
            Message("none", "which pillow is best?"),
        )
    )
    none = Case("emergency", "none", (), "which pillow is best?")
    less = Case("emergency", "crisis", ("suicidal_thoughts",), "I want to kill myself")
    assert (report.due, report.quiet) == (4, 2)
    assert report.missed == (none, less)
    assert [(case.expected, case.shown) for case in report.wrong_level] == [("emergency", "crisis"), ("urgent", "emergency")]
    assert [(case.shown, case.families[0]) for case in report.false_alarms] == [("emergency", "cauda_equina")]
    assert 0 < report.median_ms <= report.p99_ms


def test_the_report_prints_each_case_by_name() -> None:
    case = Case("emergency", "urgent", ("below_knee",), "both legs")
    alarm = Case("none", "crisis", ("suicidal_thoughts",), "dying to run")
    text = render(TriageReport(3, 1, (case,), (case,), (alarm,), 0.25, 0.5))
    assert "4 messages: a card is due for 3, none for 1" in text
    assert "missed        1 of 3" in text
    assert "wrong level   1 of 3" in text
    assert "false alarms  1 of 1  (100.0%)" in text
    assert "median 0.25 ms, 99th percentile 0.50 ms" in text
    assert "missed: due emergency, shown urgent (below_knee): both legs" in text
    assert "wrong level: due emergency, shown urgent (below_knee): both legs" in text
    assert "false alarm: due none, shown crisis (suicidal_thoughts): dying to run" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "expected the header .* found 'an empty file'"),
        ("question\tlevel\n", "expected the header 'level.tquestion', found"),
        ("level\tquestion\n", "holds no messages"),
        ("level\tquestion\nsoon\tmy back hurts\n", "line 2: expected one of emergency, urgent, crisis, none, a tab"),
        ("level\tquestion\nnone\tyes\n\nurgent\n", "line 4: expected one of"),
        ("level\tquestion\nnone\t \n", "line 2: expected one of"),
        ("level\tquestion\nnone\ta\tb\n", "line 2: expected one of"),
    ],
)
def test_a_message_file_that_is_not_as_expected_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "messages.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MessagesError, match=words):
        read_messages(path)


def test_a_message_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MessagesError, match=r"cannot read .*absent\.tsv"):
        read_messages(tmp_path / "absent.tsv")
