"""Filters in the index: the best of the passages allowed, as a brute-force ranking of these alone finds them."""

import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import index.dense
import index.lexical
import index.local
from corpus.passage import Passage, passage_id
from index.build import build_index
from index.dense import DenseArm, write_dense
from index.facets import EVERYTHING, FACETS, FIELDS, Allowed, Facets, FacetWriter, Filters
from index.fusion import BM25, DENSE, HYBRID, Weights, fuse, rank_again, squash
from index.lexical import LexicalArm
from index.local import POOL, LocalIndex
from index.postings import write_lexical
from index.ranking import NO_SCORES, Hit, Ranking
from index.storage import StorageError, current_generation, read_manifest
from index.verify import check_texts
from index.wording import Wording
from tests.fakes import REST, VOCABULARY, WordEncoder, put_word_encoder
from tests.test_dense import COUNT, clumped, nearest, questions, written

PUBLISHERS = ("NHS", "NIAMS", "A Library", "")
LANGUAGES = ("en", "de", "")


def made_up(count: int) -> list[Passage]:
    """Return passages of random words by several publishers, in several languages, three of each document."""
    generator = random.Random(11)
    passages = []
    for number in range(count):
        text = " ".join(" ".join(generator.choices(VOCABULARY, k=5)).capitalize() + "." for _ in range(3))
        publisher, language, document = generator.choice(PUBLISHERS), generator.choice(LANGUAGES), f"d{number // 3}"
        own = passage_id("s", document, "", "", text)
        passages.append(Passage(own, document, "", "", "", publisher, "", "", language, text, "s", number, number + 1))
    return passages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("facets") / "index"
    build_index(made_up(90), target, put_word_encoder)
    return current_generation(target)


@pytest.fixture(scope="module")
def corpus(folder: Path) -> LocalIndex:
    return LocalIndex(folder, read_manifest(folder), WordEncoder())


def fits(filters: Filters, passage: Passage) -> bool:
    """Say by hand whether a filter allows a passage."""
    return all(not getattr(filters, name) or getattr(passage, name) in getattr(filters, name) for name in FIELDS)


def some(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from([*values, "nobody"]), max_size=3).map(tuple)


FILTERS = st.builds(Filters, publisher=some(PUBLISHERS), document=some([f"d{n}" for n in range(30)]), language=some(LANGUAGES))
QUESTIONS = st.lists(st.sampled_from([*VOCABULARY, "xylophone"]), min_size=1, max_size=6).map(" ".join)


@given(FILTERS)
def test_a_filter_allows_the_chunks_of_the_passages_that_fit(corpus: LocalIndex, filters: Filters) -> None:
    allowed = corpus.facets.allowed(filters)
    expected = [fits(filters, corpus.chunk(number).passage) for number in range(corpus.chunks)]
    if allowed is None:
        assert filters == EVERYTHING
    else:
        assert allowed.mask.tolist() == expected
        assert allowed.count == sum(expected)
        assert np.unpackbits(allowed.bits, count=corpus.chunks, bitorder="little").tolist() == expected


def pairs(hits: Sequence[Hit], weights: Weights) -> list[tuple[int, float]]:
    return [(hit.number, hit.similarity if weights is DENSE else hit.lexical) for hit in hits]


@settings(deadline=None)
@given(QUESTIONS, FILTERS, st.integers(1, 12), st.sampled_from([DENSE, BM25]))
def test_one_arm_finds_the_best_allowed_with_their_own_scores(
    corpus: LocalIndex, question: str, filters: Filters, k: int, weights: Weights
) -> None:
    asked = Wording.as_typed(question)
    everything = corpus.search(asked, corpus.chunks, weights=weights).hits
    found = corpus.search(asked, k, weights=weights, filters=filters).hits
    assert pairs(found, weights) == pairs([hit for hit in everything if fits(filters, hit.passage)][:k], weights)


def ranked_by_hand(index: LocalIndex, question: str, filters: Filters) -> list[tuple[int, float]]:
    """Return all chunks that a filter allows with their scores, ranked among themselves, from every chunk's scores."""
    query = index.search(Wording.as_typed(question), 1).query
    ids = np.array([n for n in range(index.chunks) if fits(filters, index.chunk(n).passage)], np.int64)
    similarity, lexical = index.dense.scores(query.vector, ids), index.lexical.scores(query.lexical, ids)
    best = [max(s.similarity for s in own) for own in index.sentences(query, ids.tolist())]
    first = fuse(HYBRID, chunk=similarity, sentence=np.array(best, np.float32), lexical=lexical)
    pool, coverage = np.zeros(0, np.int64), NO_SCORES
    if query.words:
        pool = np.array(sorted(range(len(ids)), key=lambda at: (-first[at], at))[:POOL], np.int64)
        coverage = index.tokens.word_scores(query.words, ids[pool]) @ query.words.weights
    scores = squash(HYBRID, rank_again(HYBRID, first, pool, coverage)).tolist()
    return sorted(zip(ids.tolist(), scores, strict=True), key=lambda pair: (-pair[1], pair[0]))


@settings(deadline=None)
@given(QUESTIONS, FILTERS, st.integers(1, 12))
def test_all_arms_rank_the_allowed_among_themselves(corpus: LocalIndex, question: str, filters: Filters, k: int) -> None:
    found = corpus.search(Wording.as_typed(question), k, filters=filters).hits
    expected = ranked_by_hand(corpus, question, filters)[:k]
    assert [hit.number for hit in found] == [number for number, _ in expected]
    np.testing.assert_allclose([hit.score for hit in found], [score for _, score in expected], atol=1e-9)


def test_what_no_unfiltered_candidate_holds_is_found(corpus: LocalIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter of the worst passages finds them: nothing is cut off before it is filtered."""
    monkeypatch.setattr(index.local, "CANDIDATES", 3)
    last = ranked_by_hand(corpus, "ice for the hip", EVERYTHING)[-1][0]
    passage = corpus.chunk(last).passage
    filters = Filters(document=(passage.document,), publisher=(passage.publisher,), language=(passage.language,))
    found = corpus.search(Wording.as_typed("ice for the hip"), 100, filters=filters).hits
    assert last in [hit.number for hit in found]
    assert all(fits(filters, hit.passage) for hit in found)


def test_no_filter_is_the_search_as_ever_and_a_value_nobody_has_finds_nothing(corpus: LocalIndex) -> None:
    asked = Wording.as_typed("ice for the hip")
    plain = corpus.search(asked, 20)
    everyone = Filters(language=LANGUAGES, publisher=PUBLISHERS)
    assert corpus.search(asked, 20, filters=EVERYTHING).hits == plain.hits
    assert corpus.search(asked, 20, filters=everyone).hits == plain.hits
    for nobody in (Filters(publisher=("nhs",)), Filters(publisher=("NHS",), language=("fr",)), Filters(document=("d",))):
        assert corpus.search(asked, 20, filters=nobody).hits == ()


MASKS = st.lists(st.booleans(), min_size=12, max_size=12)


def masked(mask: npt.ArrayLike) -> Allowed:
    return Allowed.of(np.array(mask, bool))


@pytest.mark.parametrize("short", [0, 4096])
@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=8).map(" ".join), min_size=12, max_size=12),
    QUESTIONS,
    MASKS,
    st.integers(1, 12),
)
def test_bm25_of_random_texts_finds_the_best_allowed(
    short: int, texts: list[str], asked: str, mask: list[bool], k: int
) -> None:
    texts = [*texts[1:], f"{texts[0]} hip"]  # a corpus without a word has no postings
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(index.lexical, "SHORT_LIST", short)
        write_lexical(texts, Path(name) / "bm25")
        arm = LexicalArm(Path(name) / "bm25")
        query = arm.read(asked)
        exact = arm.scores(query, np.arange(12))
        expected = [n for n in np.lexsort((np.arange(12), -exact)).tolist() if mask[n] and exact[n] > 0][:k]
        ids, scores = arm.search(query, k, masked(mask))
        assert ids.tolist() == expected
        assert scores.tolist() == exact[expected].tolist()


@pytest.mark.parametrize("share", [0.9, 0.3, 0.01, 0.0])
@pytest.mark.parametrize("exact_up_to", [COUNT, 0])
def test_vectors_compared_one_by_one_are_the_nearest_allowed(tmp_path: Path, exact_up_to: int, share: float) -> None:
    vectors = clumped(unit=False)
    write_dense(written(tmp_path, vectors), exact_up_to=exact_up_to)
    arm = DenseArm.open(tmp_path)
    mask = np.random.default_rng(2).random(COUNT) < share
    own = np.flatnonzero(mask)
    for query in questions(20):
        ids, scores = arm.search(query, 50, masked(mask))
        expected = own[nearest(vectors[own], query, 50)]
        assert ids.tolist() == expected.tolist()
        assert scores.tolist() == arm.scores(query, expected).tolist()


@pytest.mark.parametrize("share", [0.9, 0.3, 0.05, 0.001])
def test_an_inverted_file_finds_of_the_allowed_what_it_finds_of_all(
    tmp_path: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index.dense, "GATHERED_UP_TO", 0)
    vectors = clumped()
    facts = write_dense(written(tmp_path, vectors), exact_up_to=0)
    arm = DenseArm.open(tmp_path)
    mask = np.random.default_rng(2).random(COUNT) < share
    own = np.flatnonzero(mask)
    k = min(10, len(own))
    found = []
    for query in index.dense.probes(vectors):
        ids, scores = arm.search(query, k, masked(mask))
        assert mask[ids].all()
        assert len(set(ids.tolist())) == k
        assert scores.tolist() == arm.scores(query, ids).tolist()
        found.append(np.isin(own[nearest(vectors[own], query, k)], ids).mean())
    assert np.mean(found) >= facts.recall_at_10 - 0.02


def test_facets_on_disk_grow_row_by_row(tmp_path: Path) -> None:
    passages = [replace(REST, publisher=f"p{n}", document="d", language="é" * (n % 2)) for n in range(1200)]
    writer = FacetWriter(tmp_path)
    for passage in passages:
        writer.add(passage)
    writer.close()
    facets = Facets(tmp_path, np.arange(1200, dtype=np.uint32))
    assert len(facets) == len(np.load(tmp_path / FACETS)) == 1200
    assert all(facets.holds(n, passage) for n, passage in enumerate(passages))
    assert not facets.holds(0, passages[1])
    allowed = facets.allowed(Filters(publisher=("p7", "p1199"), language=("é",)))
    assert allowed is not None
    assert np.flatnonzero(allowed.mask).tolist() == [7, 1199]
    assert facets.allowed(Filters(publisher=("p7", "p1199"), language=("é",))) is allowed
    assert facets.allowed(Filters()) is None


@pytest.mark.parametrize("rows", [np.zeros(90, "<u8"), np.zeros((90, 3), "<u8")])
def test_facets_of_another_shape_are_refused(tmp_path: Path, rows: np.ndarray) -> None:
    np.save(tmp_path / FACETS, rows)
    with pytest.raises(ValueError, match=r"facets\.npy holds .* expected one row a passage"):
        Facets(tmp_path, np.zeros(1, np.uint32))


def test_facets_of_other_passages_are_found_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    for path in folder.rglob("*"):
        target = tmp_path / "copy" / path.relative_to(folder)
        target.mkdir(exist_ok=True) if path.is_dir() else target.hardlink_to(path)
    rows = np.load(folder / FACETS)
    (tmp_path / "copy" / FACETS).unlink()
    np.save(tmp_path / "copy" / FACETS, rows[::-1])
    found = check_texts(LocalIndex(tmp_path / "copy", read_manifest(folder), WordEncoder()))
    assert len(found) == 1
    assert "filtered by another publisher, document or language" in found[0]
    np.save(tmp_path / "copy" / FACETS, rows[1:])
    with pytest.raises(StorageError, match="has 89 passages with facets, expected 90"):
        LocalIndex(tmp_path / "copy", read_manifest(folder), WordEncoder())


def test_what_is_usual_is_asked_of_the_whole_corpus(corpus: LocalIndex) -> None:
    asked = Wording.as_typed("ice for the hip")
    plain = corpus.search(asked, 60)
    narrow = Ranking(plain.query, plain.hits[:2], plain.hits)
    assert narrow.background == plain.background
    assert (narrow.nearest_anywhere, plain.nearest_anywhere) == (plain.nearest, plain.nearest)
    assert replace(narrow, everywhere=None).background != plain.background
