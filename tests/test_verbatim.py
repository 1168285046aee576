"""No text leaves the product that is neither a slice of its corpus nor a fixed sentence: thousands of questions, mutations."""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import index.confidence
import qa.answerer
import qa.evidence
from corpus.passage import Passage, Span
from corpus.text import has_lone_surrogates
from index.build import build_index, collect
from index.local import LocalIndex, verify_index
from index.passages import CHUNKS, PASSAGES, check_passages
from index.storage import current_generation, file_facts, read_manifest
from qa.answer import Quote
from qa.answerer import Answerer
from tests.conftest import PROJECT
from tests.fakes import WordEncoder, put_word_encoder
from tests.verbatim import Source, violations

QUESTIONS_EACH = 50
ANSWER_ALL = 0.999
NASTY = (
    "Ice helps the hip…  Heat helps the back.",
    "Do not run:\n- on ice\n- when the hip hurts\n- after a bad night",
    "Pain in the back.Pain in the hip. Pain in the back.",
    "e\u0301 and é are one letter; ﬁ and fi are not. The hip.",
    "العمود \u202bالفقري\u202c hip pain מפרק הירך.",
    "Stretch\u00a0the back\u200b, then sit 👩🏽\u200d⚕️ down.",
    "Bell\x07 and\x0bvertical tab, \ufeffmark and\r\nline break. Nerve pain.",
    "A disc can press on a nerve. A disc can press on a nerve. A disc can press on a nerve.",
    "  Sit less, stretch more.   Teh nerve is sore.  ",
    "disc" * 60 + " hurts",
)

words = st.sampled_from("hip back pain ice heat run sit disc nerve stretch not never why sciatica bak herat".split())
texts = st.one_of(st.sampled_from(NASTY), st.lists(words, min_size=4, max_size=25).map(" ".join), st.text(max_size=60))
headings = st.one_of(
    st.just(""), st.sampled_from(["Pain in the back?", "Do not do these", "ﬁrst  steps"]), st.text(max_size=30)
)
records = st.fixed_dictionaries(
    {"text": st.lists(texts, min_size=1, max_size=6).map(" ".join), "heading": headings, "title": headings}
)


def build(folder: Path, rows: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> tuple[Answerer, Source] | None:
    """Index records with the arithmetic encoder; None where nothing in them can be indexed."""
    monkeypatch.setattr(index.confidence, "OWN_QUESTIONS", 8)
    monkeypatch.setattr(index.confidence, "BANK_STEP", 1)
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "records.jsonl"
    clean = [row for row in rows if not any(has_lone_surrogates(value) for value in row.values())]
    source.write_text("\n".join(json.dumps({"id": f"d{n}", **row}) for n, row in enumerate(clean)), encoding="utf-8")
    try:
        collected = collect([source])
    except index.build.BuildError:
        return None
    build_index(collected, folder / "index", put_word_encoder)
    assert verify_folder(folder / "index") == []
    return open_answerer(folder / "index"), Source.read(source)


def open_answerer(path: Path) -> Answerer:
    generation = current_generation(path)
    return Answerer(LocalIndex(generation, read_manifest(generation), WordEncoder()), accepted_wrong=ANSWER_ALL)


def verify_folder(path: Path) -> list[str]:
    return check_passages(current_generation(path))


def questions_about(rows: list[dict[str, str]]) -> st.SearchStrategy[str]:
    slices = [row["text"][at : at + 40] for row in rows for at in (0, 7, 23) if row["text"][at : at + 40].strip()]
    asked = st.one_of(
        texts, headings, st.sampled_from(slices or ["hip"]), st.lists(words, min_size=1, max_size=8).map(" ".join)
    )
    return asked.filter(lambda text: bool(text.strip()) and not has_lone_surrogates(text))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(records, min_size=1, max_size=6), data=st.data(), seed=st.integers(0, 2**32))
def test_every_field_of_every_answer_is_a_slice_or_fixed(
    rows: list[dict[str, str]],
    data: st.DataObject,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = build(tmp_path_factory.mktemp("corpus"), rows, monkeypatch)
    if built is None:
        return
    answerer, source = built
    asked = data.draw(st.lists(questions_about(rows), min_size=1, max_size=8))
    generator = np.random.default_rng(seed)
    pool = [*asked, *NASTY, *(row["text"][:200] for row in rows), *(row["heading"] for row in rows)]
    pool = [text for text in pool if text.strip() and not has_lone_surrogates(text)]
    for _ in range(QUESTIONS_EACH):
        chosen = [pool[i] for i in generator.integers(len(pool), size=3)]
        question = chosen[0][: int(generator.integers(1, 200))].strip() or chosen[0]
        history = chosen[1:] if generator.random() < 0.3 else []
        answer = answerer.ask(question, history, top_k=int(generator.integers(1, 6)), after_alert=True)
        assert violations(answer.record(), source, question, history) == []
        for found in answerer.search(question, top_k=3):
            passage = source.passages[found.quote.citation.passage_id]
            assert found.quote.text == passage.text[found.quote.citation.start : found.quote.citation.end]


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answerer, Source]:
    with pytest.MonkeyPatch.context() as patch:
        rows = [{"text": text, "heading": f"Heading {n}?", "title": "Nasty  texts"} for n, text in enumerate(NASTY)]
        built = build(tmp_path_factory.mktemp("nasty"), rows, patch)
    assert built is not None
    return built


ASKED = ("ice on the hip", "pain in the back", "a disc and a nerve", "do not run when the hip hurts", "sit less, stretch more")
Change = Callable[[Quote], Quote]


def reworded(change: Callable[[str], str]) -> Change:
    return lambda quote: replace(quote, text=change(quote.text))


MUTATIONS: dict[str, Change] = {
    "an ellipsis at the end": reworded(lambda text: text + "…"),
    "three dots for the middle": reworded(lambda text: text[:5] + "..." + text[9:]),
    "a trimmed space": reworded(lambda text: re.sub(r"(?s)^(.*) ", r"\1", text, count=1)),
    "a collapsed line break": reworded(lambda text: text.replace("\n", " ") if "\n" in text else text.replace(" ", "\n", 1)),
    "a corrected typo": reworded(lambda text: text.replace("Teh", "The") if "Teh" in text else text.replace("a", "aa", 1)),
    "another normal form": reworded(lambda text: unicodedata.normalize("NFD", text.replace("e", "é", 1))),
    "another letter case": reworded(str.upper),
    "a capital at the start": reworded(lambda text: text[0].swapcase() + text[1:]),
    "a shifted range": lambda quote: replace(quote, citation=replace(quote.citation, start=quote.citation.start + 1)),
    "a highlight past the end": lambda quote: replace(quote, highlights=(Span(0, len(quote.text) + 1),)),
    "another title": lambda quote: replace(quote, citation=replace(quote.citation, title=quote.citation.title.strip() + ".")),
    "another passage": lambda quote: replace(quote, citation=replace(quote.citation, passage_id="0" * 16)),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_quote_is_found(name: str, nasty: tuple[Answerer, Source], monkeypatch: pytest.MonkeyPatch) -> None:
    answerer, source = nasty
    honest = qa.evidence.quotes_from
    for question in ASKED:
        assert violations(answerer.ask(question).record(), source, question) == []

    changed: list[bool] = []

    def mutated(*arguments: Any) -> Any:
        pairs = honest(*arguments)
        new = tuple((hit, MUTATIONS[name](quote)) for hit, quote in pairs)
        changed.append(new != pairs)
        return new

    monkeypatch.setattr(qa.answerer, "quotes_from", mutated)
    found = [bool(violations(answerer.ask(question).record(), source, question)) for question in ASKED]
    assert found == changed
    assert any(found)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suggestions", ("Learn more about hips",)),
        ("topics", ("Hips in general",)),
        ("message", "Try again."),
        ("advice", "Ask a doctor."),
        ("searched_as", "zzqqx treatment"),
        ("searched_as", "the hip; and more…"),
    ],
)
def test_a_composed_sentence_is_found(field: str, value: Any, nasty: tuple[Answerer, Source]) -> None:
    answerer, source = nasty
    record = answerer.ask("pain in the back").record()
    assert violations(record, source, "pain in the back") == []
    assert violations({**record, field: value}, source, "pain in the back")
    assert violations({**record, "summary": "In short, rest."}, source, "pain in the back")


def test_the_wire_sends_what_the_source_says(server_url: str) -> None:
    source = Source.read(PROJECT / "corpus" / "starter")
    questions = (
        "what is sciatica?",
        "my lower bak hurts, wat helps",
        "is bitcoin good?",
        "i wet myself and my back hurts",
        "asdf qwer",
    )
    with httpx.Client(base_url=server_url) as client:
        for question in questions:
            reply = client.post("/v1/ask", json={"question": question, "history": ["what is a slipped disc?"]})
            record = json.loads(reply.text)
            if record["alert"] is not None:
                record["alert"]["actions"] = tuple(record["alert"]["actions"])
            assert violations(record, source, question, ["what is a slipped disc?"]) == []


def damage(folder: Path, name: str, change: Callable[[Path], None]) -> None:
    """Change a file of the live generation, and the manifest with it, as somebody would who covers up."""
    generation = current_generation(folder)
    change(generation / name)
    manifest = json.loads((generation / "manifest.json").read_text(encoding="utf-8"))
    facts = file_facts(generation)
    manifest["files"] = {key: {"bytes": fact.bytes, "sha256": fact.sha256} for key, fact in facts.items()}
    (generation / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def swap(old: bytes, new: bytes) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(path.read_bytes().replace(old, new, 1)), None)[1]


def move(field: str, by: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        rows = np.load(path)
        rows[field][0] = int(rows[field][0]) + by
        np.save(path, rows)

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (PASSAGES, swap(b"Ice helps", b"Ice harms"), "does not say what its id was made from"),
        (CHUNKS, move("start", 1), "has a sentence outside it|parts a word"),
        (CHUNKS, move("end", -1), "sentence outside it|in no chunk"),
        (CHUNKS, move("quote_end", 9999), "offsets outside its text"),
    ],
)
def test_verify_finds_an_index_that_does_not_quote(
    name: str, change: Callable[[Path], None], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build(tmp_path, [{"text": text, "heading": "", "title": ""} for text in NASTY], monkeypatch)
    assert verify_folder(tmp_path / "index") == []
    damage(tmp_path / "index", name, change)
    assert re.search(said, "\n".join(verify_folder(tmp_path / "index")))


def test_verify_proves_the_starter_index(starter_path: Path) -> None:
    assert verify_index(starter_path) == []
    passages = collect([PROJECT / "corpus" / "starter"]).passages
    assert all(isinstance(passage, Passage) for passage in passages)
