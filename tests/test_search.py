"""Dense, lexical and fused search against second implementations, and the local index with exact, arithmetic scores."""

import math
import statistics
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from corpus.passage import Passage
from corpus.read import read_sources
from index.build import Collected, build_index
from index.dense import DenseArm, DenseError, write_dense
from index.encoder import unit_rows
from index.fusion import BM25, DENSE, HYBRID, Weights, fuse, standardise
from index.lexical import K1, B, LexicalArm, LexicalError, best, write_lexical
from index.local import LocalIndex
from index.storage import current_generation, read_manifest
from tests.fakes import WordEncoder, count, put_word_encoder

TEXTS = (
    "Ice helps a sore hip after a run.",
    "Heat helps the back. Sit less and stretch more.",
    "A worn disc can press on a nerve and cause pain in the back.",
    "Run less when the hip hurts. Pain that stays needs a doctor.",
)


@pytest.fixture
def index(tmp_path: Path) -> LocalIndex:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    passages = tuple(p for p in read_sources([tmp_path / "texts.txt"]) if isinstance(p, Passage))
    build_index(Collected(passages, (), ()), tmp_path / "index", put_word_encoder)
    folder = current_generation(tmp_path / "index")
    return LocalIndex(folder, read_manifest(folder), WordEncoder())


def test_dense_search_is_exact_inner_product(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    vectors = unit_rows(generator.normal(size=(50, 16)).astype(np.float32))
    write_dense(vectors, tmp_path / "v.faiss")
    arm = DenseArm.open(tmp_path / "v.faiss")
    query = vectors[3] + vectors[8]
    ids, scores = arm.search(query, 10)
    expected = np.argsort(-(vectors @ query), kind="stable")[:10]
    assert ids.tolist() == expected.tolist()
    np.testing.assert_allclose(scores, (vectors @ query)[expected], rtol=1e-5)
    np.testing.assert_allclose(arm.scores(query, np.array([4, 2])), vectors[[4, 2]] @ query, rtol=1e-5)
    assert (arm.count, arm.dim) == (50, 16)


def test_a_file_that_is_no_vector_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.faiss").write_bytes(b"nothing of the kind")
    with pytest.raises(DenseError, match="cannot be read as a FAISS index"):
        DenseArm.open(tmp_path / "v.faiss")


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


def test_bm25_matches_the_formula(tmp_path: Path) -> None:
    documents = ["hip hip run", "spine disc", "hip disc nerve ice ice", "stretch"]
    write_lexical(documents, tmp_path / "bm25")
    arm = LexicalArm.open(tmp_path / "bm25")
    stems = [[{"nerve": "nerv", "spine": "spine"}.get(w, w) for w in d.split()] for d in documents]
    np.testing.assert_allclose(arm.scores("Hip, ICE"), bm25_by_hand(["hip", "ice"], stems), rtol=1e-5)
    np.testing.assert_allclose(arm.scores("Running hips"), bm25_by_hand(["run", "hip"], stems), rtol=1e-5)
    assert not arm.scores("xylophone").any()
    assert not arm.scores("the of and").any()
    assert arm.count == 4


def test_bm25_of_a_corpus_of_stop_words_finds_nothing(tmp_path: Path) -> None:
    write_lexical(["the of and", "to be"], tmp_path / "bm25")
    arm = LexicalArm.open(tmp_path / "bm25")
    assert arm.count == 2
    assert not arm.scores("the hip").any()


def test_words_of_other_scripts_are_matched(tmp_path: Path) -> None:
    write_lexical(["боль в спине", "douleur à la hanche"], tmp_path / "bm25")
    arm = LexicalArm.open(tmp_path / "bm25")
    assert int(np.argmax(arm.scores("спине"))) == 0
    assert int(np.argmax(arm.scores("Hanche"))) == 1


def test_a_folder_that_is_no_bm25_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LexicalError, match="cannot be read as a BM25 index"):
        LexicalArm.open(tmp_path)


scores_of = hnp.arrays(np.float32, st.integers(0, 30), elements=st.floats(-50, 50, width=32).map(lambda x: round(x, 3)))


@given(scores_of, st.integers(1, 40))
def test_best_gives_the_highest_positive_scores_in_order(scores: np.ndarray, k: int) -> None:
    expected = sorted((i for i, s in enumerate(scores.tolist()) if s > 0), key=lambda i: (-scores[i], i))
    found = best(scores, k).tolist()
    assert [float(scores[i]) for i in found] == [float(scores[i]) for i in expected[:k]]
    if len(expected) <= k:
        assert found == expected


def fuse_by_hand(arms: list[list[float]], weights: list[float]) -> list[float]:
    scaled = []
    for arm in arms:
        spread = statistics.pstdev(arm)
        scaled.append([(s - statistics.fmean(arm)) / spread if spread > 1e-6 * max(1, *map(abs, arm)) else 0.0 for s in arm])
    means = [sum(w * arm[i] for w, arm in zip(weights, scaled, strict=True)) / sum(weights) for i in range(len(arms[0]))]
    return [1 / (1 + math.exp(-mean)) for mean in means]


@given(st.lists(st.tuples(*[st.floats(-5, 5, width=16)] * 3), min_size=2, max_size=20), st.sampled_from([HYBRID, DENSE, BM25]))
def test_fusion_matches_a_second_implementation(rows: list[tuple[float, float, float]], weights: Weights) -> None:
    arms = [np.array(column, np.float32) for column in zip(*rows, strict=True)]
    found = fuse(weights, chunk=arms[0], sentence=arms[1], lexical=arms[2])
    expected = fuse_by_hand([arm.tolist() for arm in arms], [weights.chunk, weights.sentence, weights.lexical])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert ((found >= 0) & (found <= 1)).all()


def test_standardised_scores_of_nothing_and_of_equals() -> None:
    assert standardise(np.zeros(0, np.float32)).size == 0
    assert standardise(np.full(3, 0.1, np.float32)).tolist() == [0, 0, 0]
    single = np.full(1, 0.3, np.float32)
    assert fuse(HYBRID, chunk=single, sentence=single, lexical=single).tolist() == [0.5]


def test_a_hit_carries_both_arms_and_exact_scores(index: LocalIndex) -> None:
    question = "ice for the hip after a run"
    top = index.search(question, 4)[0]
    assert top.chunk.text == TEXTS[0]
    assert (top.dense_rank, top.lexical_rank) == (1, 1)
    query, passage = np.array(count(question), float), np.array(count(TEXTS[0]), float)
    cosine = float(query @ passage / np.linalg.norm(query) / np.linalg.norm(passage))
    assert top.similarity == pytest.approx(cosine)
    assert top.sentence_scores == pytest.approx((cosine,), abs=1e-3)
    assert 0.5 < top.score <= 1


def test_each_sentence_is_scored(index: LocalIndex) -> None:
    hit = next(h for h in index.search("stretch", 4) if h.chunk.text == TEXTS[1])
    sentences = [hit.chunk.passage.text[s.start : s.end] for s in hit.chunk.sentences]
    assert sentences == ["Heat helps the back.", "Sit less and stretch more."]
    assert hit.sentence_scores == pytest.approx((0.0, math.sqrt(0.5)), abs=1e-3)


def test_one_arm_alone_ranks_by_its_own_score(index: LocalIndex) -> None:
    question = "doctor"  # no word of the fake encoder's vocabulary
    (only,) = index.search(question, 10, weights=BM25)
    assert only.chunk.text == TEXTS[3]
    assert only.dense_rank is None
    dense = index.search("pain in the back", 10, weights=DENSE)
    assert [hit.similarity for hit in dense] == sorted((hit.similarity for hit in dense), reverse=True)
    assert all(hit.lexical_rank is None for hit in dense)


def test_an_unknown_question_finds_no_words(index: LocalIndex) -> None:
    assert index.search("xylophone", 3, weights=BM25) == []
    assert len(index.search("xylophone", 3)) == 3


def test_k_is_kept_and_ties_go_by_order(index: LocalIndex) -> None:
    hits = index.search("pain", 2, weights=Weights(0.0, 0.0, 1.0))
    assert len(hits) == 2
    assert [hit.chunk.text for hit in index.search("", 4)] == list(TEXTS)


def test_passages_and_neighbours(index: LocalIndex) -> None:
    passages = [hit.chunk.passage for hit in index.search("", 4)]
    assert index.passage(passages[2].id) == passages[2]
    assert index.neighbours(passages[0]) == (None, passages[1])
    assert index.neighbours(passages[3]) == (passages[2], None)
    assert index.passage("0" * 16) is None
    assert index.passage("é/../x") is None
