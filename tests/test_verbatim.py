"""The verbatim guarantee, proved: nothing leaves the product that is no slice, field of a source, fixed sentence or card.

Odd corpora are written to real files, read by the real readers, built and asked thousands of questions; every field of every
answer goes through verbatim.py. The same property must fail as soon as quoted text is changed in any of the usual ways.
"""

import json
import random
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import index.confidence
import qa.answerer
import qa.evidence
from corpus.passage import Passage, Span, text_sha256
from index.build import check_sources
from index.local import LocalIndex
from index.passages import PassageStore
from index.verify import check_texts
from qa.__main__ import render
from qa.answer import Answer, Quote
from qa.answerer import Answerer
from qa.flags import load_rules
from tests.conftest import PROJECT, run_command
from tests.odd_corpora import QUESTION, SURE, HashEncoder, any_question, built, files
from tests.verbatim import Corpus, page_violations, passage_violations, search_violations, terminal_violations, violations
from web.engine import Engine
from web.pages import router as pages

EXAMPLES, QUESTIONS = 40, 70


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrate tiny corpora with few questions: what is quoted, and how, does not depend on it."""
    bank = index.confidence.question_bank()[:12]
    monkeypatch.setattr(index.confidence, "OWN_QUESTIONS", 12)
    monkeypatch.setattr(index.confidence, "question_bank", lambda: bank)


def page_of(answer: Answer, question: str) -> str:
    """Return the chat page that shows the answer."""
    app = FastAPI()
    app.state.engine = Engine(lambda: cast(Answerer, SimpleNamespace(ask=lambda *_, **__: answer)))
    app.state.engine.load()
    app.include_router(pages)
    return TestClient(app).post("/", data={"question": question}).raise_for_status().text


def tally(seen: Counter[str], answer: Answer) -> None:
    """Count what answers held, so that a proof about nothing is noticed."""
    seen.update(["asked", answer.status])
    for name in ("searched_as", "alert"):
        seen[name] += getattr(answer, name) is not None
    for name in ("quotes", "topics", "suggestions"):
        seen[name] += len(getattr(answer, name))
    seen["parts of passages"] += sum(quote.citation.start > 0 for quote in answer.quotes)
    seen["not ASCII"] += sum(not quote.text.isascii() for quote in answer.quotes)


def ask_all(answerer: Answerer, corpus: Corpus, seed: int, seen: Counter[str]) -> None:
    """Ask many questions in many ways and hold every field of every answer against the sources."""
    rng = random.Random(seed)
    for number in range(QUESTIONS):
        question = any_question(corpus, rng)
        history = [any_question(corpus, rng) for _ in range(rng.choice((0, 0, 1, 3)))]
        answer = answerer.ask(question, history, top_k=rng.randrange(1, 8), after_alert=rng.random() < 0.5)
        found = violations(answer.record(), corpus, question, history)
        assert found == [], f"{found}\nasked: {question!r} after {history!r}"
        tally(seen, answer)
        if number % 10 == 0:
            hits = [asdict(hit) for hit in answerer.search(question, top_k=5)]
            found = search_violations(
                {"hits": hits, "disclaimer": asdict(answer.disclaimer), "index": asdict(answer.index)}, corpus
            )
            assert found == [], f"{found}\nsearched: {question!r}"
            assert page_violations(page_of(answer, question), answer.record(), question) == []
            assert terminal_violations(render(answer, bold=False), answer.record()) == []
            seen["pages"] += 1


def prove(examples: int, *phases: Phase) -> Counter[str]:
    """Check the guarantee on generated corpora; raise AssertionError with what broke it."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=examples, deadline=None, phases=phases, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
    )
    @given(files(), st.integers(0, 2**32))
    def holds(texts: dict[str, str], seed: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            answerer, corpus = built(Path(folder), texts)
            assert check_texts(answerer.index) == []
            assert check_sources(answerer.index.folder, [Path(folder) / "texts"]) == []
            ask_all(answerer, corpus, seed, seen)
        seen["corpora"] += 1

    holds()
    return seen


@pytest.mark.usefixtures("quick")
def test_no_text_leaves_that_is_no_slice_no_field_and_no_fixed_sentence() -> None:
    seen = prove(EXAMPLES, Phase.generate, Phase.shrink)
    assert seen["asked"] >= 2500
    assert min(seen[name] for name in ("answered", "abstained", "alert", "searched_as", "pages")) >= 100, seen
    assert min(seen[name] for name in ("quotes", "suggestions", "topics", "parts of passages", "not ASCII")) >= 50, seen


def with_text(change: Callable[[str], str], *, consistent: bool = False) -> Callable[[Quote], Quote]:
    """Return a mutation of a quote's text; a consistent one also says so in the citation's digest and end."""

    def mutate(quote: Quote) -> Quote:
        text = change(quote.text)
        citation = quote.citation
        if consistent:
            citation = replace(citation, end=citation.start + len(text), sha256=text_sha256(text))
        return replace(quote, text=text, citation=citation)

    return mutate


def with_citation(**change: object) -> Callable[[Quote], Quote]:
    """Return a mutation of a quote's citation."""
    return lambda quote: replace(quote, citation=replace(quote.citation, **change))  # type: ignore[arg-type]


def with_highlights(start: int, end: int) -> Callable[[Quote], Quote]:
    """Return a mutation that moves the first and the last border of a quote's highlights."""

    def mutate(quote: Quote) -> Quote:
        first, *rest = quote.highlights
        moved = (Span(first.start + start, first.end), *rest)
        return replace(quote, highlights=(*moved[:-1], Span(moved[-1].start, len(quote.text) + end if end else moved[-1].end)))

    return mutate


CHANGES: dict[str, Callable[[str], str]] = {
    "an ellipsis at the end": lambda text: text + "…",
    "three dots for a cut": lambda text: text[:20] + "..." + text[24:],
    "a shortened text": lambda text: text[:-1],
    "a trimmed space": lambda text: text.replace(" ", "", 1),
    "a trimmed space at a line's end": lambda text: text.replace(". ", ".", 1),
    "an empty line collapsed": lambda text: text.replace("\n\n", "\n"),
    "white space collapsed": lambda text: " ".join(text.split()),
    "a corrected typo": lambda text: text.replace("teh", "the"),
    "NFKC": lambda text: unicodedata.normalize("NFKC", text),
    "a capital letter": lambda text: text[:1].swapcase() + text[1:],
    "straight quotes": lambda text: text.replace("ﬁ", "fi"),
    "a list sign left out": lambda text: text.replace("- ", ""),
}
MUTATIONS: dict[str, Callable[[Quote], Quote]] = {
    **{name: with_text(change) for name, change in CHANGES.items()},
    **{f"{name}, digest and end made to fit": with_text(change, consistent=True) for name, change in CHANGES.items()},
    "a highlight past the end": with_highlights(0, 1),
    "a highlight before the start": with_highlights(-10_000, 0),
    "a highlight moved by one": with_highlights(1, 0),
    "a corrected heading": with_citation(heading="How can ice ease a sore hip"),
    "another title": with_citation(title="Hip care."),
    "a shortened address": with_citation(url="https://example.org/hip"),
    "no references": with_citation(references=()),
    "another passage": with_citation(passage_id="0123456789abcdef"),
    "another start": lambda quote: replace(quote, citation=replace(quote.citation, start=quote.citation.start + 1)),
    "another number": with_citation(number=9),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", MUTATIONS)
def test_the_proof_fails_when_a_quote_is_changed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = qa.evidence.quote_from
    monkeypatch.setattr(qa.evidence, "quote_from", lambda *given, **named: MUTATIONS[name](original(*given, **named)))
    with pytest.raises(AssertionError, match=r"quotes\[\d+\]\.(text|highlights|citation)"):
        prove(3, Phase.generate)


def composed(name: str, answer: Answer) -> Answer:
    """Return the answer with one text of our own making in it."""
    return {
        "a suggestion": replace(answer, suggestions=("Learn about hips", *answer.suggestions)),
        "a topic": replace(answer, topics=("Hips and more",)),
        "a message": replace(answer, message="Sorry! Nothing was found."),
        "advice": replace(answer, advice="See a doctor."),
        "a disclaimer": replace(answer, disclaimer=replace(answer.disclaimer, text=answer.disclaimer.text[:-1])),
        "an alert": replace(answer, alert=replace(load_rules().families[0].alert, message="Call now.")),
        "a wording": replace(answer, searched_as="how can zyxwv ease a sore hip?"),
        "a wording's sign": replace(answer, searched_as="how can ice ease a sore hip…"),
        "an encoder": replace(answer, index=replace(answer.index, encoder="the best answer: rest")),
        "an id": replace(answer, id="rest in bed"),
    }[name]


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answerer, Corpus]:
    """One small index whose answers are known to hold."""
    return built(tmp_path_factory.mktemp("sure"), {"sure.md": SURE})


def test_an_index_that_corrects_its_passages_is_found(sure: tuple[Answerer, Corpus], monkeypatch: pytest.MonkeyPatch) -> None:
    answerer, corpus = sure
    original = PassageStore._parse

    def corrected(store: PassageStore, number: int) -> Passage:
        passage = original(store, number)
        return replace(passage, text=passage.text.replace("teh", "the"))

    monkeypatch.setattr(PassageStore, "_parse", corrected)
    correcting = LocalIndex(answerer.index.folder, answerer.index.manifest, HashEncoder())
    found = violations(Answerer(correcting, accepted_wrong=0.97).ask(QUESTION).record(), corpus, QUESTION)
    assert found[0].startswith("quotes[0].text may not be 'Ice can ease a sore hip after a run. Wrap it in the towel")
    assert any("does not say what its id was made from" in problem for problem in check_texts(correcting))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("a suggestion", "suggestions"),
        ("a topic", "topics"),
        ("a message", "message"),
        ("advice", "advice"),
        ("an id", "id"),
        ("a disclaimer", "disclaimer"),
        ("an alert", "alert"),
        ("a wording", "searched_as"),
        ("a wording's sign", "searched_as"),
        ("an encoder", "index.encoder"),
    ],
)
def test_a_composed_text_is_found_in_any_field(sure: tuple[Answerer, Corpus], name: str, field: str) -> None:
    answerer, corpus = sure
    answer = answerer.ask(QUESTION)
    assert answer.status == "answered"
    assert violations(answer.record(), corpus, QUESTION) == []
    (found,) = violations(composed(name, answer).record(), corpus, QUESTION)
    assert found.startswith(f"{field} may not be ")


def test_a_field_nobody_decided_on_and_a_missing_one_are_found(sure: tuple[Answerer, Corpus]) -> None:
    answerer, corpus = sure
    record = answerer.ask(QUESTION).record()
    assert violations({**record, "summary": ""}, corpus, QUESTION) == ["summary is a field that no rule allows"]
    (quote, *others) = record["quotes"]
    assert violations({**record, "quotes": [{**quote, "snippet": "Ice"}, *others]}, corpus, QUESTION) == [
        "quotes[0].snippet is a field that no rule allows"
    ]
    del record["disclaimer"]
    assert violations(record, corpus, QUESTION) == ["disclaimer is missing"]


def test_a_changed_page_and_a_changed_terminal_text_are_found(sure: tuple[Answerer, Corpus]) -> None:
    answer = sure[0].ask(QUESTION)
    page, record = page_of(answer, QUESTION), answer.record()
    assert page_violations(page, record, QUESTION) == []
    for old, new in (("teh towel", "the towel"), ("½ an hour", "½ an  hour"), ("</blockquote>", "…</blockquote>")):
        assert old in page
        assert any("shows the quote" in problem for problem in page_violations(page.replace(old, new), record, QUESTION))
    added = page.replace('<p class="confidence">', '<p>You should rest.</p><p class="confidence">')
    assert page_violations(added, record, QUESTION) == ["the page says 'Youshouldrest.'"]
    shown = render(answer, bold=False)
    assert terminal_violations(shown, record) == []
    (corrected,) = terminal_violations(shown.replace("teh", "the"), record)[:1]
    assert corrected.startswith("the terminal lacks the quote 'Ice can ease a sore hip after a run. Wrap it in teh towel")
    (added,) = terminal_violations(f"{shown}\nYou should rest.", record)
    assert added.endswith("Youshouldrest.'")


def test_every_interface_of_the_starter_index_keeps_the_guarantee(server_url: str, starter_path: Path) -> None:
    corpus, rng, seen = Corpus.read([PROJECT / "corpus" / "starter"]), random.Random(7), Counter[str]()
    questions = [any_question(corpus, rng) for _ in range(60)] + [family.positive[0] for family in load_rules().families[:10]]
    with httpx.Client(base_url=server_url, timeout=30) as client:
        for number, question in enumerate(questions):
            history = [any_question(corpus, rng) for _ in range(number % 3)]
            body = {"question": question, "history": history, "top_k": 1 + number % 20, "after_alert": number % 2 == 0}
            record = client.post("/v1/ask", json=body).raise_for_status().json()
            assert violations(record, corpus, question, history) == [], body
            seen.update([record["status"], *(["searched_as"] if record["searched_as"] else [])])
            found = client.post("/v1/search", json={"question": question, "top_k": 5}).raise_for_status().json()
            assert search_violations(found, corpus) == [], body
            for quote in record["quotes"][:1]:
                passage = client.get(f"/v1/passages/{quote['citation']['passage_id']}").raise_for_status().json()
                assert passage_violations(passage, corpus) == []
            again = {"question": question, "after_alert": number % 2 == 0}
            alone = client.post("/v1/ask", json=again).raise_for_status().json()
            page = client.post("/", data={"question": question, **({"after_alert": "true"} if number % 2 == 0 else {})})
            assert page_violations(page.raise_for_status().text, alone, question) == [], body
    assert min(seen[name] for name in ("answered", "abstained", "alert", "searched_as")) >= 5, seen
    asked = ("why do teh hip flexers hurt?", "who won the cup?")
    for question in asked:
        done = run_command("-m", "qa", question, "--json", "--index", str(starter_path))
        assert violations(json.loads(done.stdout), corpus, question) == []
