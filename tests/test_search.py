"""Dense, lexical and fused search against second implementations, and the local index with exact, arithmetic scores."""

import math
import re
import statistics
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.passage import Passage
from corpus.read import read_sources
from index.build import build_index
from index.dense import VECTORS, DenseArm, DenseError
from index.encoder import unit_rows
from index.fusion import BM25, DENSE, HYBRID, Weights, fuse, rank_again, squash, standardise
from index.lexical import K1, B, LexicalArm, LexicalError, content_spans
from index.local import LocalIndex
from index.postings import write_lexical
from index.ranking import BACKGROUND, Hit, Query, Ranking
from index.storage import current_generation, read_manifest
from index.tokens import SIGN_SCALE
from index.wording import Change, Wording
from tests.fakes import NO_STEMS, SPEC, Shelf, WordEncoder, count, put_word_encoder

TEXTS = (
    "Ice helps a sore hip after a run.",
    "Heat helps the back. Sit less and stretch more.",
    "A worn disc can press on a nerve and cause pain in the back.",
    "Run less when the hip hurts. Pain that stays needs a doctor.",
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LocalIndex:
    target = tmp_path_factory.mktemp("search")
    (target / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    passages = tuple(p for p in read_sources([target / "texts.txt"]) if isinstance(p, Passage))
    build_index(passages, target / "index", put_word_encoder)
    folder = current_generation(target / "index")
    return LocalIndex(folder, read_manifest(folder), WordEncoder())


def test_dense_search_is_exact_inner_product(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    vectors = unit_rows(generator.normal(size=(50, 16)).astype(np.float32))
    np.save(tmp_path / VECTORS, vectors)
    arm = DenseArm.open(tmp_path)
    query = vectors[3] + vectors[8]
    ids, scores = arm.search(query, 10)
    expected = np.argsort(-(vectors @ query), kind="stable")[:10]
    assert ids.tolist() == expected.tolist()
    np.testing.assert_allclose(scores, (vectors @ query)[expected], rtol=1e-5)
    np.testing.assert_allclose(arm.scores(query, np.array([4, 2])), vectors[[4, 2]] @ query, rtol=1e-5)
    assert (arm.count, arm.dim) == (50, 16)


def test_a_file_that_is_no_vector_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / VECTORS).write_bytes(b"nothing of the kind")
    with pytest.raises(DenseError, match="cannot be read as an array"):
        DenseArm.open(tmp_path)


def bm25_by_hand(query: list[str], documents: list[list[str]]) -> list[float]:
    """BM25 with Lucene's idf, from the formula in Robertson & Zaragoza 2009."""
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        counts, score = Counter(document), 0.0
        for word in query:
            containing = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - containing + 0.5) / (containing + 0.5))
            frequency = counts[word]
            score += idf * frequency / (frequency + K1 * (1 - B + B * len(document) / mean))
        scores.append(score)
    return scores


def scores_of(arm: LexicalArm, query: str) -> np.ndarray:
    return arm.scores(arm.read(query), np.arange(arm.count))


def test_bm25_matches_the_formula(tmp_path: Path) -> None:
    documents = ["hip hip run", "spine disc", "hip disc nerve ice ice", "stretch"]
    write_lexical(documents, tmp_path / "bm25")
    arm = LexicalArm(tmp_path / "bm25")
    stems = [[{"nerve": "nerv", "spine": "spine"}.get(w, w) for w in d.split()] for d in documents]
    np.testing.assert_allclose(scores_of(arm, "Hip, ICE"), bm25_by_hand(["hip", "ice"], stems), rtol=1e-5)
    np.testing.assert_allclose(scores_of(arm, "Running hips"), bm25_by_hand(["run", "hip"], stems), rtol=1e-5)
    assert not scores_of(arm, "xylophone").any()
    assert not scores_of(arm, "the of and").any()
    assert arm.count == 4


def test_bm25_of_a_corpus_of_stop_words_finds_nothing(tmp_path: Path) -> None:
    write_lexical(["the of and", "to be"], tmp_path / "bm25")
    arm = LexicalArm(tmp_path / "bm25")
    assert arm.count == 2
    assert not scores_of(arm, "the hip").any()


def test_words_of_other_scripts_are_matched(tmp_path: Path) -> None:
    write_lexical(["боль в спине", "douleur à la hanche"], tmp_path / "bm25")
    arm = LexicalArm(tmp_path / "bm25")
    assert int(np.argmax(scores_of(arm, "спине"))) == 0
    assert int(np.argmax(scores_of(arm, "Hanche"))) == 1


def test_a_folder_that_is_no_bm25_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LexicalError, match="cannot be read as a BM25 index"):
        LexicalArm(tmp_path)


def fuse_by_hand(arms: list[list[float]], weights: list[float]) -> list[float]:
    scaled = [standardised_by_hand(arm) for arm in arms]
    return [sum(w * arm[i] for w, arm in zip(weights, scaled, strict=True)) for i in range(len(arms[0]))]


def standardised_by_hand(arm: list[float]) -> list[float]:
    spread = statistics.pstdev(arm)
    mean = statistics.fmean(arm)
    return [(s - mean) / spread if spread > 1e-6 * max(1, *map(abs, arm)) else 0.0 for s in arm]


ROWS = st.lists(st.tuples(*[st.floats(-5, 5, width=16)] * 3), min_size=2, max_size=20)


@given(ROWS, st.sampled_from([HYBRID, DENSE, BM25]))
def test_fusion_matches_a_second_implementation(rows: list[tuple[float, float, float]], weights: Weights) -> None:
    arms = [np.array(column, np.float32) for column in zip(*rows, strict=True)]
    found = fuse(weights, chunk=arms[0], sentence=arms[1], lexical=arms[2])
    expected = fuse_by_hand([arm.tolist() for arm in arms], [weights.chunk, weights.sentence, weights.lexical])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(ROWS, st.sampled_from([HYBRID, DENSE, BM25]))
def test_squashed_scores_are_a_mean_between_0_and_1_in_the_same_order(
    rows: list[tuple[float, float, float]], weights: Weights
) -> None:
    chunk, sentence, lexical = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    fused = fuse(weights, chunk=chunk, sentence=sentence, lexical=lexical)
    total = weights.chunk + weights.sentence + weights.lexical + weights.words
    found = squash(weights, fused)
    np.testing.assert_allclose(found, [1 / (1 + math.exp(-score / total)) for score in fused.tolist()], atol=1e-9)
    order = np.argsort(fused, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


FIRST = st.lists(st.floats(-8, 8, width=16), min_size=1, max_size=25)


@given(FIRST, st.integers(1, 25), st.floats(0, 3, width=16), st.data())
def test_ranking_again_matches_a_second_implementation(
    first: list[float], size: int, weight: float, data: st.DataObject
) -> None:
    pool = sorted(range(len(first)), key=lambda i: (-first[i], i))[:size]
    cells = st.floats(-1, 1, width=16)
    coverage = data.draw(st.lists(cells, min_size=len(pool), max_size=len(pool)))
    weights = Weights(1.0, 1.0, 1.0, words=weight)
    found = rank_again(weights, np.array(first), np.array(pool, np.int64), np.array(coverage))
    added = standardised_by_hand(coverage) if len(coverage) > 1 else [0.0]
    by_place = dict(zip(pool, added, strict=True))
    expected = [score + weight * by_place.get(i, min(added)) for i, score in enumerate(first)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    outside = [i for i in range(len(first)) if i not in pool]
    assert all(found[i] <= found[j] for i in outside for j in pool), "nothing outside the pool overtakes"
    assert sorted(outside, key=lambda i: -found[i]) == sorted(outside, key=lambda i: -first[i])


def test_without_weight_or_pool_ranking_again_changes_nothing() -> None:
    first, coverage = np.array([0.5, -1.0, 2.0]), np.array([0.1, 0.9])
    assert rank_again(BM25, first, np.array([2, 0]), coverage).tolist() == first.tolist()
    assert rank_again(HYBRID, first, np.zeros(0, np.int64), np.zeros(0)).tolist() == first.tolist()
    again = rank_again(HYBRID, first, np.array([2, 0]), coverage)
    assert again is not first
    assert first.tolist() == [0.5, -1.0, 2.0]


def test_coverage_changes_the_order_within_the_pool() -> None:
    first = np.array([1.0, 0.9, 0.0])
    found = rank_again(HYBRID, first, np.array([0, 1]), np.array([0.2, 0.8]))
    assert np.argsort(-found).tolist() == [1, 0, 2]


def test_standardised_scores_of_nothing_and_of_equals() -> None:
    assert standardise(np.zeros(0, np.float32)).size == 0
    assert standardise(np.full(3, 0.1, np.float32)).tolist() == [0, 0, 0]
    single = np.full(1, 0.3, np.float32)
    fused = fuse(HYBRID, chunk=single, sentence=single, lexical=single)
    assert fused.tolist() == [0.0]
    assert squash(HYBRID, fused).tolist() == [0.5]


def search(index: LocalIndex, question: str, k: int, *, weights: Weights = HYBRID) -> Ranking:
    """Search for a question as it stands."""
    return index.search(Wording.as_typed(question), k, weights=weights)


def word_score_by_hand(word: str, text: str) -> float:
    """How well a text covers a word of the vocabulary: the fake's tokens, centred, one sign for each component."""
    everything = [count(found) for line in TEXTS for found in re.findall(r"\w+", line)]
    mean = np.mean(everything, axis=0)
    centred = np.array(count(word)) - mean
    kept = [text[s.start : s.end] for s in content_spans(text)]
    signs = np.array([np.where(np.array(count(own)) > mean, 1, -1) for own in kept])
    return float((signs @ (centred / np.linalg.norm(centred))).max()) * SIGN_SCALE / math.sqrt(SPEC.dim)


def test_a_hit_carries_both_arms_and_exact_scores(index: LocalIndex) -> None:
    question = "ice for the hip after a run"
    ranking = search(index, question, 4)
    top = ranking.hits[0]
    assert top.chunk.text == TEXTS[0]
    assert index.chunk(top.number) == top.chunk
    assert (top.dense_rank, top.lexical_rank) == (1, 1)
    query, passage = np.array(count(question), float), np.array(count(TEXTS[0]), float)
    cosine = float(query @ passage / np.linalg.norm(query) / np.linalg.norm(passage))
    assert top.similarity == pytest.approx(cosine)
    assert top.sentence == pytest.approx(cosine, abs=1e-3)
    assert 0.5 < top.score <= 1
    words = ranking.query.words
    assert words is not None
    assert [question[s.start : s.end] for s in words.spans] == ["ice", "hip", "run"]
    for hit in ranking.hits:
        expected = [word_score_by_hand(word, hit.chunk.text) for word in ("ice", "hip", "run")]
        assert hit.word_scores == pytest.approx(expected, abs=1e-4)


def test_rare_words_weigh_as_much_as_bm25_says(index: LocalIndex) -> None:
    words = search(index, "disc pain in the xylophone", 1).query.words
    assert words is not None
    rarities = [index.rarity(word) for word in ("disc", "pain", "xylophone")]
    assert rarities == pytest.approx([math.log(1 + (4 - held + 0.5) / (held + 0.5)) for held in (1, 2, 0)])
    assert words.weights.tolist() == pytest.approx([rarity / sum(rarities) for rarity in rarities])


def test_each_sentence_is_scored(index: LocalIndex) -> None:
    ranking = search(index, "stretch", 4)
    hit = next(h for h in ranking.hits if h.chunk.text == TEXTS[1])
    found = index.sentences(ranking.query, [hit.number])[0]
    texts = [TEXTS[1][s.span.start : s.span.end] for s in found]
    assert texts == ["Heat helps the back.", "Sit less and stretch more."]
    assert [s.similarity for s in found] == pytest.approx((0.0, math.sqrt(0.5)), abs=1e-3)
    assert [float(s.word_scores[0]) for s in found] == pytest.approx(
        [word_score_by_hand("stretch", text) for text in texts], abs=1e-4
    )
    assert hit.sentence == pytest.approx(math.sqrt(0.5), abs=1e-3)


def test_one_arm_alone_ranks_by_its_own_score(index: LocalIndex) -> None:
    question = "doctor"  # no word of the fake encoder's vocabulary
    ranking = search(index, question, 10, weights=BM25)
    (only,) = ranking.hits
    assert only.chunk.text == TEXTS[3]
    assert only.dense_rank is None
    assert (only.word_scores, ranking.query.words) == ((), None)
    dense = search(index, "pain in the back", 10, weights=DENSE).hits
    assert [hit.similarity for hit in dense] == sorted((hit.similarity for hit in dense), reverse=True)
    assert all(hit.lexical_rank is None for hit in dense)


def test_an_unknown_question_finds_no_words(index: LocalIndex) -> None:
    nothing = search(index, "xylophone", 3, weights=BM25)
    assert (nothing.hits, nothing.nearest, nothing.background) == ((), 0.0, 0.0)
    assert len(search(index, "xylophone", 3).hits) == 3


def test_k_is_kept_and_ties_go_by_order(index: LocalIndex) -> None:
    assert len(search(index, "pain", 2, weights=BM25).hits) == 2
    assert [hit.chunk.text for hit in search(index, "", 4).hits] == list(TEXTS)


def test_a_translated_question_has_the_mean_of_both_wordings_vectors(index: LocalIndex) -> None:
    change = Change(4, 8, "ache", "pain, soreness", "lay")
    query = index.search(Wording("hip ache", "hip ache", ("pain", "soreness"), (change,)), 1).query
    assert query.text == "hip pain"
    hip = np.array(count("hip"), float)
    both = np.array(count("hip pain"), float) / math.sqrt(2)
    np.testing.assert_allclose(query.vector, (hip + both) / np.linalg.norm(hip + both), atol=1e-6)


def hits_of(similarities: list[float], documents: list[int] | None = None) -> tuple[Hit, ...]:
    """Return hits that have nothing but a similarity and a document."""
    found = []
    for number, similarity in enumerate(similarities):
        document = documents[number] if documents else 0
        found.append(Hit(number, 0.5, 1, 1, similarity, similarity, 1.0, (), Shelf(document)))
    return tuple(found)


QUERY = Query(np.zeros(SPEC.dim, np.float32), "", NO_STEMS, None)


def test_the_background_is_what_hits_far_down_reach() -> None:
    similarities = [1 - i / 100 for i in range(70)]
    ranking = Ranking(QUERY, hits_of(similarities))
    assert ranking.nearest == 1.0
    assert ranking.background == pytest.approx(statistics.fmean(similarities[i] for i in BACKGROUND))
    assert Ranking(QUERY, hits_of([0.9, 0.5, 0.4, 0.2])).background == pytest.approx(0.3)
    assert Ranking(QUERY, hits_of([0.9])).background == pytest.approx(0.9)


def test_without_a_passage_its_whole_document_is_left_out() -> None:
    ranking = Ranking(QUERY, hits_of([0.9, 0.8, 0.7], [0, 1, 0]))
    left = ranking.without(ranking.hits[2].document)
    assert left.hits == (ranking.hits[1],)
    assert left.query is ranking.query


def test_passages_and_neighbours(index: LocalIndex) -> None:
    passages = [hit.chunk.passage for hit in search(index, "", 4).hits]
    assert index.passage(passages[2].id) == passages[2]
    assert index.neighbours(passages[0]) == (None, passages[1])
    assert index.neighbours(passages[3]) == (passages[2], None)
    assert index.passage("0" * 16) is None
    assert index.passage("é/../x") is None
    assert [index.siblings(number) for number in range(4)] == [range(n, n + 1) for n in range(4)]


def test_the_nearer_of_some_chunks_is_the_more_similar(index: LocalIndex) -> None:
    query = search(index, "heat for the back", 1).query
    assert index.nearer(query, [3, 1, 2]) == 1
    assert index.nearer(query, [0, 2]) == 2
    assert index.nearer(query, []) is None
