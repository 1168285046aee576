"""The dense arm against a second implementation: every score by numpy in float64, every approximation measured again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest

from index.dense import APPROXIMATE, VECTORS, DenseArm, DenseError, Ids, probes, write_dense
from index.encoder import Vectors, unit_rows

COUNT, DIM = 6000, 24


def clumped(count: int = COUNT, *, unit: bool = True) -> Vectors:
    """Return vectors that lie in clumps, as chunks of one subject do; of many lengths unless ``unit``."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(60, DIM))
    rows = centres[rng.integers(60, size=count)] + 0.8 * rng.normal(size=(count, DIM))
    vectors = unit_rows(rows.astype(np.float32))
    return vectors if unit else np.asarray(vectors * rng.uniform(0.5, 2, (count, 1)), np.float32)


def written(folder: Path, vectors: Vectors) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / VECTORS, vectors)
    return folder


def nearest(vectors: Vectors, query: Vectors, k: int) -> Ids:
    """Return the k best rows by float64 products, ties in row order."""
    scores = vectors.astype(np.float64) @ query.astype(np.float64)
    return np.lexsort((np.arange(len(vectors)), -scores))[:k]


def questions(count: int) -> Vectors:
    return unit_rows(np.random.default_rng(9).normal(size=(count, DIM)).astype(np.float32))


@pytest.mark.parametrize("unit", [True, False])
def test_exact_search_is_brute_force(tmp_path: Path, unit: bool) -> None:
    vectors = clumped(unit=unit)
    facts = write_dense(written(tmp_path, vectors))
    arm = DenseArm.open(tmp_path)
    assert (facts.kind, facts.recall_at_10, facts.parameters) == ("exact", 1.0, {})
    assert (arm.kind, arm.count, arm.dim) == ("exact", COUNT, DIM)
    assert not (tmp_path / APPROXIMATE).exists()
    for query in questions(50):
        ids, scores = arm.search(query, 200)
        assert ids.dtype == np.int64
        assert scores.dtype == np.float32
        assert ids.tolist() == nearest(vectors, query, 200).tolist()
        np.testing.assert_allclose(scores, vectors[ids].astype(np.float64) @ query, rtol=0, atol=1e-6)


@pytest.mark.parametrize("unit", [True, False])
def test_the_stated_recall_is_what_brute_force_finds(tmp_path: Path, unit: bool) -> None:
    vectors = clumped(unit=unit)
    facts = write_dense(written(tmp_path, vectors), exact_up_to=COUNT - 1)
    arm = DenseArm.open(tmp_path)
    assert facts.kind == arm.kind == "ivf-sq8"
    assert 0 < facts.parameters["lists_read"] <= facts.parameters["lists"]
    asked = probes(vectors)
    found = [np.isin(nearest(vectors, q, 10), arm.search(q, 10)[0]).mean() for q in asked]
    assert facts.recall_at_10 == pytest.approx(np.mean(found), abs=6e-5)
    assert facts.recall_at_10 >= 0.9


def test_approximate_scores_are_exact(tmp_path: Path) -> None:
    vectors = clumped(unit=False)
    write_dense(written(tmp_path, vectors), exact_up_to=0)
    arm = DenseArm.open(tmp_path)
    for query in questions(20):
        ids, scores = arm.search(query, 50)
        np.testing.assert_allclose(scores, vectors[ids].astype(np.float64) @ query, rtol=0, atol=1e-6)
        assert ids.tolist() == ids[np.lexsort((ids, -scores))].tolist()
        assert len(set(ids.tolist())) == 50
        assert arm.scores(query, ids).tolist() == scores.tolist()
        assert arm.scores(query, ids[7:8]).tolist() == scores[7:8].tolist()
    assert len(arm.scores(query, np.zeros(0, np.int64))) == 0


def test_the_same_vectors_give_the_same_files_and_answers(tmp_path: Path) -> None:
    vectors = clumped()
    facts = [write_dense(written(tmp_path / name, vectors), exact_up_to=0) for name in ("a", "b")]
    assert facts[0] == facts[1]
    assert (tmp_path / "a" / APPROXIMATE).read_bytes() == (tmp_path / "b" / APPROXIMATE).read_bytes()
    one, other = (DenseArm.open(tmp_path / name) for name in ("a", "b"))
    for query in questions(20):
        assert [part.tolist() for part in one.search(query, 30)] == [part.tolist() for part in other.search(query, 30)]


@pytest.mark.parametrize("exact_up_to", [COUNT, 0])
def test_ties_come_in_chunk_order(tmp_path: Path, exact_up_to: int) -> None:
    vectors = clumped(2000)
    vectors[[1900, 3, 700, 41]] = vectors[41]
    write_dense(written(tmp_path, vectors), exact_up_to=exact_up_to)
    assert DenseArm.open(tmp_path).search(vectors[41], 5)[0][:4].tolist() == [3, 41, 700, 1900]


@pytest.mark.parametrize("exact_up_to", [COUNT, 0])
@pytest.mark.parametrize("count", [1, 2, 300])
def test_more_can_be_asked_for_than_there_are(tmp_path: Path, count: int, exact_up_to: int) -> None:
    vectors = clumped(count)
    write_dense(written(tmp_path, vectors), exact_up_to=exact_up_to)
    arm = DenseArm.open(tmp_path)
    query = questions(1)[0]
    for k in (count, count + 1, 10 * count):
        ids, scores = arm.search(query, k)
        assert ids.tolist() == nearest(vectors, query, count).tolist()
        assert len(scores) == count
    assert len(arm.search(query, 1)[0]) == 1


@pytest.mark.parametrize("exact_up_to", [COUNT, 0])
def test_questions_side_by_side_get_what_each_gets_alone(tmp_path: Path, exact_up_to: int) -> None:
    write_dense(written(tmp_path, clumped()), exact_up_to=exact_up_to)
    arm = DenseArm.open(tmp_path)
    asked = questions(100)
    alone = [arm.search(query, 20)[0].tolist() for query in asked]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda query: arm.search(query, 20)[0].tolist(), asked)) == alone


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_dense(written(tmp_path, clumped()), lambda done, total: told.append((done, total)), exact_up_to=0)
    assert told[-1] == (COUNT, COUNT)


def test_damaged_vectors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DenseError, match=r"chunk_vectors\.npy cannot be read"):
        DenseArm.open(tmp_path)
    written(tmp_path, clumped())
    whole = (tmp_path / VECTORS).read_bytes()
    for damaged in (b"", whole[:60], whole[:-5], b"not an array at all, by any means"):
        (tmp_path / VECTORS).write_bytes(damaged)
        with pytest.raises(DenseError, match=r"chunk_vectors\.npy cannot be read"):
            DenseArm.open(tmp_path)
    for wrong in (np.zeros((3, 4)), np.zeros(4, np.float32), np.zeros((0, 4), np.float32), np.zeros((3, 4), np.float32, "F")):
        np.save(tmp_path / VECTORS, wrong)
        with pytest.raises(DenseError, match=r"expected rows of float32"):
            DenseArm.open(tmp_path)
        with pytest.raises(DenseError, match=r"expected rows of float32"):
            write_dense(tmp_path)


def test_a_damaged_index_is_refused(tmp_path: Path) -> None:
    write_dense(written(tmp_path, clumped()), exact_up_to=0)
    whole = (tmp_path / APPROXIMATE).read_bytes()
    for damaged in (b"", b"IwSq", whole[:1000], whole[: len(whole) // 2], whole[:-1], b"x" + whole[1:]):
        (tmp_path / APPROXIMATE).write_bytes(damaged)
        with pytest.raises(DenseError, match=r"dense\.ann\.faiss"):
            DenseArm.open(tmp_path)


def test_an_index_of_other_vectors_is_refused(tmp_path: Path) -> None:
    write_dense(written(tmp_path, clumped()), exact_up_to=0)
    for other in (clumped(COUNT - 1), clumped()[:, :-1].copy()):
        np.save(tmp_path / VECTORS, other)
        with pytest.raises(DenseError, match=r"holds 6000 vectors of 24 components, chunk_vectors\.npy beside it"):
            DenseArm.open(tmp_path)


def test_another_kind_of_index_is_refused(tmp_path: Path) -> None:
    vectors = clumped()
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    faiss.write_index(flat, str(written(tmp_path, vectors) / APPROXIMATE))
    with pytest.raises(DenseError, match=r"holds a IndexFlatIP, expected an inverted file"):
        DenseArm.open(tmp_path)
