"""The way from a question to an answer, on the real starter index: verbatim, cited, honest."""

import hashlib
import json
from pathlib import Path

import pytest

from index.local import LocalIndex
from qa.__main__ import BOLD, PLAIN, render
from qa.answer import Answer
from qa.answerer import MAX_TOP_K, Answerer, QuestionError
from qa.policy import ABSTENTION, ACCEPTED_WRONG, ADVICE, DISCLAIMER

QUESTIONS = (
    "why are office workers' hip flexors so tight?",
    "what is sciatica?",
    "how do i do frog pose?",
    "who gets paget's disease?",
    "is a steroid injection in the spine worth it?",
)
EMERGENCY = "my back hurts and i can't feel anything between my legs and i wet myself"


def least_confidence(answerer: Answerer) -> float:
    """Return the confidence from which is answered, rounded as an answer's is."""
    calibration = answerer.policy.calibration
    return round(calibration.confidence(calibration.threshold(ACCEPTED_WRONG)), 4)


def check_verbatim(answer: Answer, index: LocalIndex) -> None:
    for number, quote in enumerate(answer.quotes, 1):
        citation = quote.citation
        passage = index.passage(citation.passage_id)
        assert passage is not None
        assert quote.text == passage.text[citation.start : citation.end]
        assert citation.sha256 == hashlib.sha256(quote.text.encode()).hexdigest()
        assert (quote.rank, citation.number) == (number, number)
        assert citation.permalink == f"/passages/{passage.id}"
        assert (citation.title, citation.heading, citation.source) == (passage.title, passage.heading, passage.source)
        assert all(0 <= span.start < span.end <= len(quote.text) for span in quote.highlights)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_verbatim_cited_and_disclaimed(answerer: Answerer, question: str) -> None:
    answer = answerer.ask(question)
    assert (answer.status, answer.reason, answer.message, answer.advice) == ("answered", None, None, None)
    assert (answer.alert, answer.searched_as, answer.topics) == (None, None, ())
    assert len(answer.quotes) == 3
    assert all(quote.highlights and quote.citation.references for quote in answer.quotes)
    assert len({quote.text for quote in answer.quotes}) == 3
    assert answer.disclaimer == DISCLAIMER
    assert least_confidence(answerer) <= answer.confidence <= 1
    assert answer.index.passages == answerer.index.passages
    check_verbatim(answer, answerer.index)


def test_the_passage_that_answers_is_quoted(answerer: Answerer) -> None:
    (quote,) = answerer.ask(QUESTIONS[0], top_k=1).quotes
    assert "sitting" in quote.text.lower()
    assert "hip flexors" in quote.text


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("what is the capital of Mongolia?", "off_topic"),
        ("is bitcoin a good investment?", "off_topic"),
        ("how do i treat a migraine?", "not_covered"),
        ("asdf qwer zxcv", "unclear"),
    ],
)
def test_an_unanswerable_question_is_declined_in_fixed_words(answerer: Answerer, question: str, reason: str) -> None:
    answer = answerer.ask(question)
    assert (answer.status, answer.reason, answer.quotes) == ("abstained", reason, ())
    assert answer.message == ABSTENTION[answer.reason or "unclear"]
    assert answer.advice == ADVICE[answer.reason or "unclear"]
    assert answer.confidence < least_confidence(answerer)
    assert answer.disclaimer == DISCLAIMER


def test_an_emergency_gets_its_card_alone_and_quotes_only_afterwards(answerer: Answerer) -> None:
    first = answerer.ask(EMERGENCY)
    assert (first.status, first.quotes) == ("alert", ())
    assert first.alert is not None
    assert first.alert.level == "emergency"
    assert first.alert.actions
    assert first.alert.source.url.startswith("https://")
    second = answerer.ask(EMERGENCY, after_alert=True)
    assert second.alert == first.alert
    assert second.status != "alert"
    check_verbatim(second, answerer.index)


def test_an_urgent_card_comes_with_the_quotes(answerer: Answerer) -> None:
    answer = answerer.ask("i had cancer a few years ago and now have constant back pain, what can cause low back pain?")
    assert answer.alert is not None
    assert answer.alert.level == "urgent"
    assert answer.status in ("answered", "abstained")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("x" * 2001, "2,001 characters; at most 2,000"),
        ("hip \ud800", "lone surrogates"),
        (7, "int"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_words(answerer: Answerer, question: str, words: str) -> None:
    with pytest.raises(QuestionError, match=words):
        answerer.ask(question)


def test_a_question_may_have_2000_characters(answerer: Answerer) -> None:
    question = ("why does my hip hurt when I sit for long? " * 50)[:2000].ljust(2000, "?")
    assert len(question) == 2000
    assert answerer.ask(question).status in ("answered", "abstained")


@pytest.mark.parametrize("top_k", [0, -1, 21])
def test_top_k_has_limits(answerer: Answerer, top_k: int) -> None:
    with pytest.raises(QuestionError, match=r"top_k.*1 to 20"):
        answerer.ask("what is sciatica?", top_k=top_k)


def test_top_k_is_how_many_quotes_come(answerer: Answerer) -> None:
    assert [len(answerer.ask("what is sciatica?", top_k=k).quotes) for k in (1, 5, 20)] == [1, 5, 20]


def test_confidence_is_that_of_the_first_quote_however_many_are_asked_for(answerer: Answerer) -> None:
    assert len({answerer.ask("what is sciatica?", top_k=k).confidence for k in (1, 3, 20)}) == 1


def test_full_width_and_decomposed_letters_are_read(answerer: Answerer) -> None:
    plain = answerer.ask("what is sciatica?").quotes
    assert answerer.ask("ｗｈａｔ ｉｓ ｓｃｉａｔｉｃａ？").quotes == plain
    assert answerer.ask("ｗｈａｔ ｉｓ ｓｃｉａｔｉｃａ？").searched_as is None
    accented = answerer.ask("what is legg-calv\u00e9-perthes disease?").quotes
    assert answerer.ask("what is legg-calve\u0301-perthes disease?").quotes == accented


def test_history_reaches_the_answer(answerer: Answerer) -> None:
    answer = answerer.ask("what are its symptoms?", ["what is paget's disease of bone?"])
    assert answer.status == "answered"
    assert any("Paget" in quote.citation.title for quote in answer.quotes)
    assert answer.searched_as == "paget's disease bone: what are its symptoms?"
    assert answerer.ask("what are its symptoms?").searched_as is None


def test_a_misspelt_word_is_put_right_and_said(answerer: Answerer) -> None:
    right, wrong = answerer.ask("what can cause sciatica?"), answerer.ask("what can cause sciatca?")
    assert (right.searched_as, wrong.searched_as) == (None, "what can cause sciatica?")
    assert wrong.quotes == right.quotes
    assert wrong.confidence == right.confidence


def test_a_lay_word_is_searched_by_its_medical_name_too_and_said(answerer: Answerer) -> None:
    answer = answerer.ask("does a cortisone jab in the spine help?")
    assert answer.searched_as is not None
    assert answer.searched_as.startswith("does a cortisone jab in the spine help? (")
    assert "injection" in answer.searched_as
    assert "injection" in answerer.search("does a cortisone jab in the spine help?", top_k=1)[0].quote.text


def test_search_gives_what_was_found_without_judging(answerer: Answerer) -> None:
    question = "what is the capital of Mongolia?"
    assert answerer.ask(question).quotes == ()
    found = answerer.search(question, top_k=5)
    assert [item.quote.rank for item in found] == [1, 2, 3, 4, 5]
    assert all(item.dense_rank or item.lexical_rank for item in found)
    scores = [item.quote.score for item in found]
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(QuestionError, match="The question is empty"):
        answerer.search(" ")
    with pytest.raises(QuestionError, match=r"top_k.*1 to 20"):
        answerer.search("hip", top_k=MAX_TOP_K + 1)


def test_the_terminal_shows_every_part_unchanged(answerer: Answerer) -> None:
    answer = answerer.ask("what is sciatica?")
    plain = render(answer, bold=False)
    for quote in answer.quotes:
        assert quote.text in plain
        assert quote.citation.passage_id in plain
        assert all(reference.title in plain for reference in quote.citation.references)
    assert DISCLAIMER.text in plain
    bold = render(answer, bold=True)
    assert BOLD in bold
    assert all(quote.text in bold.replace(BOLD, "").replace(PLAIN, "") for quote in answer.quotes)


def test_the_terminal_says_what_was_searched_and_what_else_there_is(answerer: Answerer) -> None:
    shown = render(answerer.ask("what can cause sciatca?"), bold=False)
    assert shown.startswith("(also searched for: what can cause sciatica?)\n")
    answer = answerer.ask("how do i treat a migraine?")
    shown = render(answer, bold=False)
    assert answer.message is not None
    assert shown.startswith(f"{answer.message}\n{answer.advice}")
    for line in (*answer.topics, *answer.suggestions):
        assert f"  - {line}" in shown.splitlines()
    assert shown.endswith(DISCLAIMER.text)


def test_the_terminal_shows_the_card_first(answerer: Answerer) -> None:
    answer = answerer.ask(EMERGENCY)
    assert answer.alert is not None
    shown = render(answer, bold=False)
    assert shown.startswith(f"*** {answer.alert.title} ***")
    assert all(action in shown for action in answer.alert.actions)


def test_the_record_is_json_with_the_fixed_names(answerer: Answerer) -> None:
    record = json.loads(json.dumps(answerer.ask("what is sciatica?").record()))
    assert set(record) == {
        "id", "status", "reason", "message", "advice", "confidence", "searched_as", "quotes", "topics", "suggestions",
        "disclaimer", "alert", "index", "took_ms",
    }  # fmt: skip
    assert set(record["quotes"][0]) == {"rank", "text", "score", "highlights", "citation"}
    assert set(record["quotes"][0]["citation"]) == {
        "number", "passage_id", "title", "heading", "publisher", "url", "permalink", "source", "start", "end", "sha256",
        "reviewed", "license", "references",
    }  # fmt: skip
    assert set(record["quotes"][0]["citation"]["references"][0]) == {"title", "publisher", "url"}
    assert set(record["disclaimer"]) == {"version", "text"}
    assert set(record["index"]) == {"generation", "encoder", "passages"}


def seed_questions(shared: Path) -> list[str]:
    lines = (shared / "eval" / "seed" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def test_the_starter_corpus_answers_what_the_raw_passages_answer(answerer: Answerer, shared: Path) -> None:
    """Most of the 45 questions on the raw passages are answered from the starter corpus too (44 of 45 when written)."""
    answered = [answerer.ask(question, after_alert=True) for question in seed_questions(shared)]
    for answer in answered:
        check_verbatim(answer, answerer.index)
    assert sum(answer.status == "answered" for answer in answered) >= 40


def test_an_answer_is_a_value(answerer: Answerer) -> None:
    answer = answerer.ask("what is sciatica?")
    for value, name in ((answer, "status"), (answer.quotes[0], "text"), (answer.quotes[0].citation, "sha256")):
        with pytest.raises(AttributeError, match=r"cannot assign|read-only|frozen"):
            setattr(value, name, "Run.")
