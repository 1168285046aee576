"""What the evaluator says of answers, highlights and abstention, against second implementations; damaged files are named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from corpus.passage import Span
from evaluation.abstention import assess_abstention, aurc, coverage_at
from evaluation.abstention import render as render_abstention
from evaluation.answers import assess_answers, covers, highlighted
from evaluation.answers import render as render_answers
from evaluation.dataset import Dataset, DatasetError, read_answers, read_unanswerable
from index.local import LocalIndex
from qa.answer import Quote
from qa.answerer import Answerer
from tests.test_confidence import DOCUMENTS, build, passages
from tests.test_pages import QUOTE

CONFIDENCES = st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9]), min_size=1, max_size=12)


def aurc_by_hand(answerable: list[float], unanswerable: list[float]) -> float:
    """The mean of the risks at every coverage, each counted anew over what is at least so sure."""
    rows = sorted([(-value, 0) for value in unanswerable] + [(-value, 1) for value in answerable])
    risks = [sum(kind == 0 for _, kind in rows[:k]) / k for k in range(1, len(rows) + 1)]
    return sum(risks) / len(risks)


@given(CONFIDENCES, CONFIDENCES)
def test_the_area_under_the_risk_coverage_curve(answerable: list[float], unanswerable: list[float]) -> None:
    assert aurc(np.array(answerable), np.array(unanswerable)) == pytest.approx(aurc_by_hand(answerable, unanswerable))


def test_the_best_and_the_worst_curves() -> None:
    assert aurc(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert aurc(np.array([0.1]), np.array([0.9, 0.8])) == pytest.approx((1 + 1 + 2 / 3) / 3)


@given(CONFIDENCES, CONFIDENCES, st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]))
def test_coverage_is_the_most_that_a_threshold_reaches_at_the_risk(
    answerable: list[float], unanswerable: list[float], risk: float
) -> None:
    thresholds = [-1.0, *answerable, *unanswerable]
    allowed = [t for t in thresholds if sum(value > t for value in unanswerable) <= risk * len(unanswerable) + 1e-9]
    best = max(sum(value > t for value in answerable) / len(answerable) for t in allowed)
    assert coverage_at(np.array(answerable), np.array(unanswerable), risk) == pytest.approx(best)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LocalIndex:
    return build(tmp_path_factory.mktemp("evaluation"), *DOCUMENTS)


def test_abstention_is_told_by_the_decisions_of_the_answerer(index: LocalIndex) -> None:
    answerable = ["sore ice and hip", "heat and back carry people", "nerve and sit, wrote the doctor"]
    unanswerable = ["what is the capital of Mongolia?", "is bitcoin a good investment?", "heat"]
    report = assess_abstention(index, answerable, unanswerable, accepted=0.3)
    answers = {question: Answerer(index, accepted_wrong=0.3).ask(question) for question in (*answerable, *unanswerable)}
    confidences = [answers[question].confidence for question in (*answerable, *unanswerable)]
    assert report.auroc == roc_auc_score([1] * 3 + [0] * 3, confidences)
    assert report.declined == tuple(q for q in answerable if answers[q].status == "abstained")
    assert report.answered_in_vain == tuple(q for q in unanswerable if answers[q].status == "answered")
    assert report.answerable_answered == pytest.approx(1 - len(report.declined) / 3)
    assert report.unanswerable_answered == pytest.approx(len(report.answered_in_vain) / 3)
    shown = render_abstention(report)
    assert "accepted rate 30%" in shown
    for question in (*report.declined, *report.answered_in_vain):
        assert question in shown


def marked(text: str, *parts: str) -> Quote:
    spans = tuple(Span(text.index(part), text.index(part) + len(part)) for part in parts)
    return replace(QUOTE, text=text, highlights=spans)


@pytest.mark.parametrize(
    ("parts", "answer", "whole"),
    [
        (("Ice helps.",), "ice helps", False),
        (("Ice helps.",), "Ice helps", True),
        (("Ice helps.",), "Ice helps. Heat", False),
        (("Ice helps.", "Heat does too."), "Ice helps. Heat does", True),
        (("Ice helps.", "Heat does too."), "helps.\n\n Heat   does", True),
        (("Ice helps.", "Rest a little."), "Ice helps. Heat does too. Rest", False),
        ((), "Ice", False),
        (("Ice helps.",), "Swim", False),
    ],
)
def test_a_highlight_covers_an_answer_or_not(parts: tuple[str, ...], answer: str, whole: bool) -> None:
    quote = marked("Ice helps.\n\nHeat does too. Rest a little.", *parts)
    assert covers(quote, answer) is whole
    assert highlighted(quote) == list(parts)


def test_answers_are_looked_for_in_the_quotes_shown(index: LocalIndex) -> None:
    queries = {"q1": "sore ice and hip", "q2": "heat and back", "q3": "nerve"}
    dataset = Dataset("tiny", "test", passages(*DOCUMENTS), "", queries, {key: {"0.txt": 1} for key in queries})
    answers = {"q1": "A sore ice calms down slowly", "q2": "nowhere to be found", "unasked": "The hip"}
    report = assess_answers(index, dataset, answers)
    assert (report.queries, report.answer_at_3, report.quoted) == (2, 0.5, 1)
    assert (report.covered, report.missed) == (1.0, ())
    assert report.median_words > 5
    assert "2 labelled: a quote among the first 3 holds the answer in 50.0%" in render_answers(report)


def test_labelled_answers_are_read_by_query(tmp_path: Path) -> None:
    assert read_answers(tmp_path) == {}
    path = tmp_path / "answers.tsv"
    path.write_text("query-id\tcorpus-id\tanswer\nq1\td1\tIce helps\n\nq2\tHeat\n")
    assert read_answers(tmp_path) == {"q1": "Ice helps", "q2": "Heat"}
    path.write_text("query-id\tanswer\nq1\n")
    with pytest.raises(DatasetError, match=r"answers\.tsv, line 2: expected query-id and answer"):
        read_answers(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "expected the header 'kind<TAB>question'"),
        ("question\nwhy?\n", "expected the header 'kind<TAB>question'"),
        ("kind\tquestion\n", "expected a kind and a question on every line"),
        ("kind\tquestion\nfar why?\n", "expected a kind and a question on every line"),
    ],
)
def test_damaged_unanswerable_questions_are_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "unanswerable.tsv"
    path.write_text("kind\tquestion\nfar\twhy?\n\nnear\thow?\n")
    assert read_unanswerable(path) == (("far", "why?"), ("near", "how?"))
    path.write_text(content)
    with pytest.raises(DatasetError, match=words):
        read_unanswerable(path)
