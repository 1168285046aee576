"""What went unanswered: words of the corpus alone, counted one by one, small groups withheld, answers never held up by it."""

import json
import sqlite3
import stat
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.local import LocalIndex
from index.stop_words import STOP_WORDS
from index.vocabulary import open_vocabulary
from index.words import Vocabulary, pack
from qa.answer import Alert, AlertSource, Answer
from qa.answerer import Answerer
from tests.conftest import run_command, running_server
from tests.test_server import QUESTION
from web.store import Store
from web.unanswered import (
    LEAST,
    QUESTIONS,
    Term,
    Unanswered,
    Week,
    add,
    main,
    open_counts,
    prune,
    report,
    terms_of,
    week_of,
    weeks_in,
)

STRANGE = "what is the capital of Mongolia, Zorblatt Quux, and does its hip hurt in 1954 or call 555-0100?"
NOW = datetime(2026, 7, 15, tzinfo=UTC)
THIS, LAST, BEFORE = "2026-W29", "2026-W28", "2026-W27"


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(pack({"hip": 3, "capital": 1, "the": 9, "pain": 2, "paget": 1}, chunks=9))


@pytest.fixture
def abstained(answerer: Answerer) -> Answer:
    return answerer.ask(STRANGE)


def rows(file: Path) -> dict[tuple[str, str, str], int]:
    """Return what a file holds, small groups and all."""
    with closing(sqlite3.connect(file)) as connection:
        return {(week, reason, term): count for week, reason, term, count in connection.execute("SELECT * FROM unanswered")}


def write(store: Store, counts: dict[tuple[str, str, str], int]) -> None:
    store.write(lambda connection: add(connection, counts)).result()


def test_only_single_words_of_the_corpus_are_taken(vocabulary: Vocabulary) -> None:
    found = terms_of("Is the HIP of John Smith, born 1954, Páget’s? hip-pain 555-0100 john@smith.example", vocabulary)
    assert found == {"hip", "paget", "pain"}
    assert terms_of("?!", vocabulary) == set()


@settings(deadline=None)
@given(st.text())
def test_whatever_is_asked_a_term_is_a_word_of_the_corpus(question: str) -> None:
    vocabulary = Vocabulary(pack({"hip": 3, "the": 9, "ago": 1}, chunks=9))
    assert terms_of(question, vocabulary) <= {"hip", "ago"}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_counts_what_it_could_not_answer(
    starter_path: Path, starter: LocalIndex, tmp_path: Path, workers: str
) -> None:
    file = tmp_path / "unanswered.sqlite"
    alarm = "my back hurts and i wet myself and my crotch is numb"
    with running_server(starter_path, tmp_path / "log.txt", "--workers", workers, "--unanswered", str(file)) as url:
        reasons = set()
        for number in range(40):  # each on a connection of its own, so that both workers count
            answer = httpx.post(f"{url}/v1/ask", json={"question": f"{STRANGE} canary{number}"}, timeout=30).json()
            assert answer["status"] == "abstained"
            reasons.add(answer["reason"])
        for body in ({"question": QUESTION}, {"question": alarm}, {"question": alarm, "after_alert": True}):
            assert httpx.post(f"{url}/v1/ask", json=body, timeout=30).status_code == 200
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = rows(file)
    assert {reason for _, reason, _ in kept} == reasons
    totals = Counter[str]()
    for (_, _, term), count in kept.items():
        totals[term] += count
    words = open_vocabulary(starter.folder)
    # Each worker forgets at most four of a reason when it stops.
    assert 40 >= totals[QUESTIONS] == totals["hip"] >= 40 - 4 * int(workers) * len(reasons)
    assert all(term in words and term not in STOP_WORDS for term in totals if term)
    assert set(totals) == {QUESTIONS, *terms_of(STRANGE, words)}
    for word in (b"canary", b"Zorblatt", b"zorblatt", b"Mongolia", b"1954", b"0100", b"numb"):
        assert word not in file.read_bytes()
    assert not Path(f"{file}-wal").exists()
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 1
    printed = run_command("-m", "web.unanswered", str(file)).stdout
    assert "hip" not in printed, "the week under way is withheld"


def test_by_default_no_file_is_made(starter_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    log = tmp_path / "log.txt"
    with running_server(starter_path, log) as url:
        assert httpx.post(f"{url}/v1/ask", json={"question": STRANGE}, timeout=30).json()["status"] == "abstained"
        assert httpx.post(f"{url}/v1/feedback", json={"answer_id": "0" * 16, "thumbs": 1}).status_code == 404
    assert list(tmp_path.iterdir()) == [log]


def test_groups_under_five_and_the_week_under_way_are_withheld(tmp_path: Path) -> None:
    store = open_counts(tmp_path / "unanswered.sqlite")
    write(store, {(LAST, "off_topic", QUESTIONS): 9, (LAST, "off_topic", "hip"): 5, (LAST, "off_topic", "pain"): 4})
    write(store, {(LAST, "unclear", QUESTIONS): 4, (LAST, "unclear", "hip"): 4})
    write(store, {(THIS, "off_topic", QUESTIONS): 50, (THIS, "off_topic", "hip"): 50})
    write(store, {(BEFORE, "off_topic", QUESTIONS): 5, (BEFORE, "off_topic", "pain"): 3})
    expected = [Week(BEFORE, "off_topic", 5, ()), Week(LAST, "off_topic", 9, (Term("hip", 5),))]
    assert weeks_in(store.path, NOW) == expected
    write(store, {(THIS, "off_topic", "hip"): 1})
    assert weeks_in(store.path, NOW) == expected, "a question more does not show before its week is over"
    assert report(expected).splitlines()[1:] == [
        "",
        f"{BEFORE}  off_topic: 5 questions",
        "",
        f"{LAST}  off_topic: 9 questions",
        "       5  hip",
    ]
    store.close()


@settings(deadline=None, max_examples=40)  # each example makes a file
@given(st.dictionaries(st.tuples(st.sampled_from([LAST, THIS]), st.sampled_from(["a", "b"]), st.sampled_from(["", "x", "y"])),
                       st.integers(1, 9)))  # fmt: skip
def test_no_report_shows_a_small_group(counts: dict[tuple[str, str, str], int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_counts(Path(folder) / "unanswered.sqlite")
        write(store, counts)
        store.close()
        for week in weeks_in(store.path, NOW):
            assert week.week == LAST
            assert week.questions == 0 or week.questions >= LEAST
            assert all(each.questions == counts[(LAST, week.reason, each.term)] >= LEAST for each in week.terms)


def test_small_groups_leave_the_file_when_their_week_is_over(tmp_path: Path) -> None:
    store = open_counts(tmp_path / "unanswered.sqlite")
    write(store, {(LAST, "off_topic", "hip"): 5, (LAST, "off_topic", "sacroiliac"): 4, (THIS, "off_topic", "coccyx"): 1})
    store.write(lambda connection: prune(connection, THIS)).result()
    assert rows(store.path) == {(LAST, "off_topic", "hip"): 5, (THIS, "off_topic", "coccyx"): 1}
    store.close()
    assert b"sacroiliac" not in store.path.read_bytes()


def test_the_first_count_of_a_process_drops_them(tmp_path: Path, vocabulary: Vocabulary, abstained: Answer) -> None:
    store = open_counts(tmp_path / "unanswered.sqlite")
    write(store, {("2020-W01", "off_topic", "hip"): 4, ("2020-W01", "off_topic", "pain"): 5})
    counted = Unanswered(store, vocabulary)
    for _ in range(LEAST):
        counted.note(STRANGE, abstained)
    store.close()
    assert [key for key in rows(store.path) if key[0] == "2020-W01"] == [("2020-W01", "off_topic", "pain")]


def test_the_file_never_tells_the_words_of_fewer_than_five_questions(
    tmp_path: Path, vocabulary: Vocabulary, abstained: Answer
) -> None:
    store = open_counts(tmp_path / "unanswered.sqlite")
    counted = Unanswered(store, vocabulary)
    unclear = replace(abstained, reason="unclear" if abstained.reason != "unclear" else "off_topic")
    for number in range(1, 12):
        counted.note("hip pain" if number % 2 else "capital pain", abstained)
        if number < LEAST:
            counted.note("paget", unclear)
        store.write(lambda _: None).result()
        kept = rows(store.path)
        assert {reason for _, reason, _ in kept} <= {str(abstained.reason)}
        assert sum(count for (_, _, term), count in kept.items() if term == QUESTIONS) == number - number % LEAST
    store.close()


def test_answers_and_emergencies_are_not_counted(tmp_path: Path, vocabulary: Vocabulary, abstained: Answer) -> None:
    store = open_counts(tmp_path / "unanswered.sqlite")
    counted = Unanswered(store, vocabulary)
    card = Alert("emergency", "title", "message", (), AlertSource("", "", ""))
    for answer in (
        replace(abstained, alert=card),
        replace(abstained, status="alert", reason=None, alert=card),
        replace(abstained, status="answered", reason=None),
    ):
        for _ in range(LEAST):
            counted.note("hip pain", answer)
    store.close()
    assert rows(store.path) == {}


def test_a_failed_write_fails_no_answer_and_is_made_good(
    tmp_path: Path, vocabulary: Vocabulary, abstained: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    file, aside = tmp_path / "unanswered.sqlite", tmp_path / "aside.sqlite"
    store = open_counts(file)
    counted = Unanswered(store, vocabulary)
    file.rename(aside)
    for _ in range(LEAST):
        counted.note("hip canary", abstained)
    store.write(lambda _: None).exception()
    assert "could not be counted" in caplog.text
    assert "hip" not in caplog.text.replace(str(tmp_path), "")
    aside.rename(file)
    counted.note("hip canary", abstained)
    store.close()
    for _ in range(LEAST):
        counted.note("hip canary", abstained)  # after the file is closed: nothing happens
    week = week_of(datetime.now(UTC))
    assert rows(file)[(week, str(abstained.reason), "hip")] == LEAST + 1


def test_a_server_whose_file_was_taken_away_answers_on(starter_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "unanswered.sqlite"
    with running_server(starter_path, tmp_path / "log.txt", "--unanswered", str(file)) as url:
        file.unlink()
        for _ in range(LEAST):
            assert httpx.post(f"{url}/v1/ask", json={"question": STRANGE}, timeout=30).json()["status"] == "abstained"
    assert not file.exists()
    log = (tmp_path / "log.txt").read_text()
    assert "could not be counted" in log
    assert "Zorblatt" not in log


def test_many_threads_lose_no_question_but_the_last(tmp_path: Path, vocabulary: Vocabulary, abstained: Answer) -> None:
    store = open_counts(tmp_path / "unanswered.sqlite")
    counted = Unanswered(store, vocabulary)

    def ask(times: Iterable[int]) -> None:
        for _ in times:
            counted.note("hip pain", abstained)

    threads = [threading.Thread(target=ask, args=(range(50),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    totals = Counter[str]()
    for (_, _, term), count in rows(store.path).items():
        totals[term] += count
    assert totals[QUESTIONS] == totals["hip"] == totals["pain"]
    assert 200 - LEAST < totals[QUESTIONS] <= 200


def test_weeks_have_the_calendar_s_names() -> None:
    assert week_of(NOW) == THIS
    assert week_of(datetime(2027, 1, 1, tzinfo=UTC)) == "2026-W53"
    assert week_of(datetime(2027, 1, 4, tzinfo=UTC)) == "2027-W01"


def test_the_command_prints_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_counts(tmp_path / "unanswered.sqlite")
    write(store, {("2020-W01", "not_covered", QUESTIONS): 7, ("2020-W01", "not_covered", "hip"): 6})
    store.close()
    assert main([str(store.path), "--json"]) == 0
    record = {"week": "2020-W01", "reason": "not_covered", "questions": 7, "terms": [{"term": "hip", "questions": 6}]}
    assert json.loads(capsys.readouterr().out) == [record]
    assert main([str(store.path)]) == 0
    assert "2020-W01  not_covered: 7 questions" in capsys.readouterr().out
    assert main([str(tmp_path / "none")]) == 1
    assert "cannot be read" in capsys.readouterr().err
