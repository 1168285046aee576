"""What is shown for a hit: a short passage whole, of a longer one the chunk and one neighbour, verbatim and in one piece."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from corpus.passage import Passage, Span, text_sha256
from corpus.readers.source import Place, SourceFile, make_passage
from index.build import build_index
from index.local import LocalIndex
from index.ranking import Hit, Query, Ranking
from index.storage import current_generation, read_manifest
from index.wording import Wording
from qa.answer import Quote
from qa.evidence import WHOLE_WORDS, quotes_from, what_to_show
from tests.fakes import VOCABULARY, WordEncoder, put_word_encoder

FILLER = "people often find that this gets a little easier when each day begins with ten slow and easy minutes of it"
# One sentence of forty-odd words fills a chunk of the arithmetic encoder.
LONG = " ".join(f"The {word} and {word} come first, and {FILLER}, so says {FILLER}." for word in VOCABULARY[:6])
LEAD = "Do not do any of these for six weeks after the operation:"
ITEMS = [f"- bend the {word} past a right angle, {FILLER}" for word in VOCABULARY[4:]]
LISTED = "\n".join([f"Before the list, {FILLER}, and {FILLER}, and {FILLER}.", "", LEAD, *ITEMS])
SHORT = "Ice can ease a sore hip.\n\nHeat can ease a stiff back. Do not sleep on a heat pad."
EXACT = "Stretch daily. " + " ".join(["slowly"] * (WHOLE_WORDS - 2))
OVER = "Nerve pain comes. " + ("Ice helps. " + " ".join(["rest"] * 40) + ". ") * 5
QUESTIONS = [*VOCABULARY, *(f"{a} and {b}" for a, b in combinations(VOCABULARY, 2)), "what should people not do?"]


def passage(name: str, text: str) -> Passage:
    return make_passage(SourceFile(name, text), Place(name, 0, len(text)), text.strip(), {"title": ""})


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LocalIndex:
    folder: Path = tmp_path_factory.mktemp("evidence")
    texts = {"long": LONG, "listed": LISTED, "short": SHORT, "again": SHORT, "exact": EXACT, "over": OVER}
    passages = tuple(passage(f"{name}.txt", text) for name, text in texts.items())
    build_index(passages, folder, put_word_encoder)
    generation = current_generation(folder)
    return LocalIndex(generation, read_manifest(generation), WordEncoder())


def search(index: LocalIndex, question: str, k: int = 60) -> Ranking:
    return index.search(Wording.as_typed(question), k)


def every_hit(index: LocalIndex) -> Iterator[tuple[Query, Hit]]:
    for question in QUESTIONS:
        ranking = search(index, question)
        yield from ((ranking.query, hit) for hit in ranking.hits)


def test_the_texts_are_long_and_short_as_meant(index: LocalIndex) -> None:
    sizes = {p.source: len(p.text.split()) for p in map(index.passage_at, range(index.passages)) if p}
    assert sizes["exact.txt"] == WHOLE_WORDS
    assert min(sizes[name] for name in ("long.txt", "listed.txt", "over.txt")) > WHOLE_WORDS
    assert index.chunks > 15


def test_a_short_passage_is_shown_whole(index: LocalIndex) -> None:
    short = [pair for pair in every_hit(index) if len(pair[1].chunk.passage.text.split()) <= WHOLE_WORDS]
    assert {hit.chunk.passage.source for _, hit in short} == {"short.txt", "again.txt", "exact.txt"}
    for query, hit in short:
        shown = what_to_show(index, query, hit)
        assert shown.span == Span(0, len(hit.chunk.passage.text))
        assert shown.chunks == tuple(index.siblings(hit.number))


def test_of_a_long_passage_the_chunk_and_its_nearer_neighbour_are_shown(index: LocalIndex) -> None:
    long = [pair for pair in every_hit(index) if len(pair[1].chunk.passage.text.split()) > WHOLE_WORDS]
    assert {hit.chunk.passage.source for _, hit in long} == {"long.txt", "listed.txt", "over.txt"}
    for query, hit in long:
        shown = what_to_show(index, query, hit)
        beside = [n for n in (hit.number - 1, hit.number + 1) if n in index.siblings(hit.number)]
        (other,) = set(shown.chunks) - {hit.number}
        assert other in beside
        similarity = {found.number: found.similarity for found in search(index, query.text).hits}
        if set(beside) <= similarity.keys():
            assert similarity[other] == pytest.approx(max(similarity[n] for n in beside))
        assert shown.chunks == tuple(range(shown.chunks[0], shown.chunks[0] + 2)), "one piece"
        for number in shown.chunks:
            quote = index.chunk(number).quote
            assert shown.span.start <= quote.start < quote.end <= shown.span.end
        between = hit.chunk.passage.text[index.chunk(shown.chunks[0]).end : index.chunk(shown.chunks[1]).start]
        assert between.strip() == ""


def test_no_item_is_shown_without_the_line_that_forbids_it(index: LocalIndex) -> None:
    hits = [(query, hit) for query, hit in every_hit(index) if hit.chunk.passage.source == "listed.txt"]
    items = [(query, hit) for query, hit in hits if hit.chunk.text.startswith("- ")]
    assert len({hit.number for _, hit in items}) >= 2
    for query, hit in items:
        shown = what_to_show(index, query, hit)
        assert LEAD in hit.chunk.passage.text[shown.span.start : shown.span.end]


def check_quote(index: LocalIndex, hit: Hit, quote: Quote) -> None:
    citation = quote.citation
    whole = index.passage(citation.passage_id)
    assert whole is not None
    assert whole == hit.chunk.passage
    assert quote.text == whole.text[citation.start : citation.end]
    assert citation.sha256 == text_sha256(quote.text)
    assert citation.start <= hit.chunk.start < hit.chunk.end <= citation.end
    numbers = index.siblings(hit.number)
    sentences = {(s.start, s.end) for number in numbers for s in index.chunk(number).sentences}
    marked = [(h.start + citation.start, h.end + citation.start) for h in quote.highlights]
    assert 1 <= len(marked) <= 2
    assert set(marked) <= sentences
    assert marked == sorted(marked)


@pytest.mark.parametrize("question", QUESTIONS[:: len(QUESTIONS) // 12])
@pytest.mark.parametrize("limit", [1, 3, 20])
def test_quotes_are_verbatim_numbered_and_never_overlap(index: LocalIndex, question: str, limit: int) -> None:
    pairs = quotes_from(index, search(index, question), limit)
    assert 1 <= len(pairs) <= limit
    for number, (hit, quote) in enumerate(pairs, 1):
        assert (quote.rank, quote.citation.number) == (number, number)
        check_quote(index, hit, quote)
    for (_, one), (_, other) in combinations(pairs, 2):
        assert one.text != other.text
        a, b = one.citation, other.citation
        assert a.passage_id != b.passage_id or a.end <= b.start or b.end <= a.start


def test_a_text_that_stands_in_two_documents_is_quoted_once(index: LocalIndex) -> None:
    ranking = search(index, "heat for a stiff back")
    assert {"short.txt", "again.txt"} <= {hit.chunk.passage.source for hit in ranking.hits}
    texts = [quote.text for _, quote in quotes_from(index, ranking, 20)]
    assert texts.count(SHORT) == 1


def test_the_first_hits_passage_is_quoted_first_with_its_score(index: LocalIndex) -> None:
    for question in VOCABULARY:
        ranking = search(index, question)
        hit, quote = quotes_from(index, ranking, 3)[0]
        assert hit == ranking.hits[0]
        assert quote.score == round(hit.score, 4)


def test_without_hits_nothing_is_quoted(index: LocalIndex) -> None:
    assert quotes_from(index, Ranking(search(index, "hip").query, ()), 3) == ()
