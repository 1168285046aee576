"""The dense arm: the nearest chunk vectors by inner product. The only module that imports faiss.

The float32 vectors lie in chunk order in one array that is mapped, never read whole, so a row's number is a chunk's. Up to
EXACT_UP_TO chunks every vector is compared. Beyond, an inverted file (IVF) of 8-bit codes names candidates from the lists
nearest to the question, and these are scored again with the float32 rows: scores are exact either way, and what an
approximate search can miss is measured when it is built (DenseFacts). Cosine models' vectors have length 1, and their inner
product is their cosine. The curves are benchmarks/ann.py's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import faiss
import numpy as np
import numpy.typing as npt

from index.encoder import Vectors, cores, unit_rows
from index.facets import Allowed
from index.mapped import Rows

Ids = npt.NDArray[np.int64]
Kind = Literal["exact", "ivf-sq8"]
Progress = Callable[[int, int], object]

VECTORS = "chunk_vectors.npy"
APPROXIMATE = "dense.ann.faiss"
# Comparing every vector takes 0.8 ms of one core for 10,000 and 8.6 ms for 100,000; 4 ms are what a question may take.
EXACT_UP_TO = 40_000
# Candidates scored again at least, however few are asked for: codes of 8 bits mistake near neighbours.
RESCORED = 100
# Lists for each square root of the number of vectors, and the vectors there must be for each: twice
# as many would take k-means four times as long.
LISTS, FEWEST_IN_LIST = 2, 10
# Vectors for each list that the lists' centres are trained on, and rounds of k-means.
TRAINING, ROUNDS = 40, 10
SEED = 1
# Vectors added at a time, so that a build holds codes, never all float32 rows.
SLICE = 65_536
# Allowed chunks beside an inverted file that are compared one by one, gathered from all over the rows: 12,000 take 3 ms of one
# core, 36,000 take 9.7; and how many at a time, so that no more than 1.5 MB of copies are held.
GATHERED_UP_TO, GATHERED = 16_000, 1024
# The recall@10 that a build looks for, and the lists read that it begins with.
RECALL_WANTED = 0.98
FEWEST_LISTS_READ = 8
# Codes read for a question at most: what bounds its cost where RECALL_WANTED is out of reach; the manifest says so then.
MOST_READ = 100_000
# Probes that recall is measured with, their cosine with their own chunks, and the chunks that shape their noise (`probes`).
PROBES, PROBE_COSINE, SHAPING = 200, 0.5, 2000


class DenseError(Exception):
    """The vector files are missing, damaged, or not of one another."""


@dataclass(frozen=True, slots=True)
class DenseFacts:
    """How chunk vectors are searched, for the manifest.

    ``recall_at_10`` is the share of the ten nearest chunks that search finds, measured on what ``measured_on`` says.
    """

    kind: Kind
    parameters: dict[str, int]
    recall_at_10: float
    measured_on: str


class DenseArm:
    """Chunk vectors that can be searched and looked up by chunk number; safe to use from several threads at once."""

    def __init__(self, rows: Rows, index: faiss.IndexIVF | None) -> None:
        self._vectors: Vectors = rows.array
        self._index = index
        self._rows = rows

    @classmethod
    def open(cls, folder: Path) -> "DenseArm":
        """Open a folder's vectors, mapped from disk; raise DenseError for files that are missing, damaged or at odds."""
        rows = _open_vectors(folder / VECTORS)
        vectors = rows.array
        path = folder / APPROXIMATE
        if not path.exists():
            return cls(rows, None)
        index = _open_index(path)
        if (index.ntotal, index.d) != vectors.shape:
            found = f"{index.ntotal} vectors of {index.d} components"
            raise DenseError(f"{path} holds {found}, {VECTORS} beside it {vectors.shape[0]} of {vectors.shape[1]}")
        return cls(rows, index)

    @property
    def count(self) -> int:
        """The number of vectors."""
        return len(self._vectors)

    @property
    def dim(self) -> int:
        """The number of components of a vector."""
        return int(self._vectors.shape[1])

    @property
    def kind(self) -> Kind:
        """How the vectors are searched."""
        return "exact" if self._index is None else "ivf-sq8"

    def search(self, query: Vectors, k: int, allowed: Allowed | None = None) -> tuple[Ids, Vectors]:
        """Return the numbers and scores of the k chunks nearest to a query of shape (dim,), best first, ties in chunk order.

        Of ``allowed`` chunks the k nearest are found as if there were no others; None allows all.
        """
        faiss.omp_set_num_threads(1)  # for the calling thread alone: parallel questions come from parallel calls
        index = self._index
        if allowed is not None:
            k = min(k, allowed.count)
            ids = self._allowed_candidates(index, query, k, allowed) if k > 0 else np.zeros(0, np.int64)
        else:
            k = min(k, self.count)
            ids = _nearest(self._vectors, query[None, :], k)[0] if index is None else self._candidates(index, query, k)
        scores = self.scores(query, ids)
        best = np.lexsort((ids, -scores))[:k]
        return ids[best], scores[best]

    def scores(self, query: Vectors, ids: Ids) -> Vectors:
        """Return the inner products of a query of shape (dim,) with the given chunks."""
        # Row by row and without BLAS: a chunk's score never depends on which others are asked for, nor takes a second thread.
        scores: Vectors = np.einsum("ij,j->i", self._rows.take(ids), query)
        return scores

    def _candidates(self, index: faiss.IndexIVF, query: Vectors, k: int) -> Ids:
        """Return what is likely nearest, at least k chunks, in no particular order."""
        wanted = min(max(k, RESCORED), self.count)
        found: Ids = index.search(query[None, :], wanted)[1][0]
        if found[k - 1] < 0:  # the lists read hold fewer than were asked for
            everything = faiss.SearchParametersIVF()
            everything.nprobe = index.nlist
            found = index.search(query[None, :], wanted, params=everything)[1][0]
        return found[found >= 0]

    def _allowed_candidates(self, index: faiss.IndexIVF | None, query: Vectors, k: int, allowed: Allowed) -> Ids:
        """Return what is likely nearest among the allowed, at least k chunks, in no particular order.

        An inverted file reads as many allowed codes as it would read of all, and so the more lists the fewer are allowed;
        where these are few enough for comparing every one, that is what is done.
        """
        if index is None:
            return _nearest_allowed(self._vectors, query, k, allowed)
        if allowed.count <= GATHERED_UP_TO:
            return self._compared(query, k, np.flatnonzero(allowed.mask))
        selector = _selector(allowed)  # held here: the parameters only point at it
        reading = faiss.SearchParametersIVF()
        reading.sel = selector
        reading.nprobe = min(index.nlist, -(-index.nprobe * self.count // allowed.count))
        wanted = min(max(k, RESCORED), allowed.count)
        found: Ids = index.search(query[None, :], wanted, params=reading)[1][0]
        if found[k - 1] < 0:  # the lists read hold fewer than were asked for
            reading.nprobe = index.nlist
            found = index.search(query[None, :], wanted, params=reading)[1][0]
        return found[found >= 0]

    def _compared(self, query: Vectors, k: int, ids: Ids) -> Ids:
        """Return the k nearest of some chunks by comparing all, a few at a time, ties in chunk order."""
        scores = np.concatenate([self.scores(query, ids[at : at + GATHERED]) for at in range(0, len(ids), GATHERED)])
        return ids[np.lexsort((ids, -scores))[:k]]


def write_dense(folder: Path, progress: Progress = lambda _, __: None, *, exact_up_to: int = EXACT_UP_TO) -> DenseFacts:
    """Make a folder's chunk vectors searchable, with an approximate index beside more than ``exact_up_to`` of them.

    ``progress`` is told the vectors indexed and in all. The same vectors give the same file on the same machine.
    """
    rows = _open_vectors(folder / VECTORS)
    vectors: Vectors = rows.array
    if len(vectors) <= exact_up_to:
        return DenseFacts("exact", {}, 1.0, "every vector is compared")
    faiss.omp_set_num_threads(cores())
    index = _train(vectors)
    for start in range(0, len(vectors), SLICE):
        index.add(vectors[start : start + SLICE])
        progress(min(start + SLICE, len(vectors)), len(vectors))
    recall = _set_lists_read(index, rows)
    faiss.write_index(index, str(folder / APPROXIMATE))
    parameters = {"lists": int(index.nlist), "lists_read": int(index.nprobe)}
    return DenseFacts(
        "ivf-sq8",
        parameters,
        round(recall, 4),
        "chunk vectors moved as far from their chunks as questions are (index/dense.py, probes)",
    )


def probes(vectors: Vectors) -> Vectors:
    """Return what stands in for questions: PROBES rows, each moved to a cosine of about PROBE_COSINE with itself.

    They are moved by noise of the rows' own covariance. Questions lie outside the lists of the chunks that answer them, so
    they need more lists than chunks, sentences or chunks with even noise do: on 100,000 remixed chunks, reading 64 lists of
    600, 300 real questions found 0.959 of their ten, these probes 0.951, even noise 0.987, sentences 0.996.
    """
    rng = np.random.default_rng(SEED)
    drawn = vectors[np.sort(rng.permutation(len(vectors))[:SHAPING])]
    rows = unit_rows(drawn[:: -(-len(drawn) // PROBES)])
    away = unit_rows(rng.standard_normal((len(rows), len(drawn)), np.float32) @ (drawn - drawn.mean(axis=0)))
    return unit_rows(PROBE_COSINE * rows + np.float32(np.sqrt(1 - PROBE_COSINE**2)) * away)


def _open_vectors(path: Path) -> Rows:
    try:
        rows = Rows(path)
    except (OSError, EOFError, ValueError) as error:
        raise DenseError(f"{path} cannot be read as an array of vectors: {str(error).partition('.')[0]}") from error
    array = rows.array
    if array.ndim != 2 or array.dtype != np.float32 or not array.flags.c_contiguous or not array.size:
        found = f"{array.dtype} of shape {array.shape}"
        raise DenseError(f"{path} holds {found}, expected rows of float32, at least one")
    return rows


def _open_index(path: Path) -> faiss.IndexIVF:
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise DenseError(f"{path} cannot be read as a FAISS index: {error}") from error
    if not isinstance(index, faiss.IndexIVF) or index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise DenseError(f"{path} holds a {type(index).__name__}, expected an inverted file by inner product")
    # The mapped lists would be read ahead by threads of their own, started anew for every question.
    lists = faiss.downcast_InvertedLists(index.invlists) if index.invlists else None
    if not isinstance(lists, faiss.OnDiskInvertedLists):
        raise DenseError(f"{path} cannot be mapped: its lists are {type(lists).__name__}")
    lists.prefetch_nthread = 0
    return index


def _nearest(vectors: Vectors, queries: Vectors, k: int) -> Ids:
    """Return the k nearest rows of each query by comparing all, without copying a mapped array."""
    ids: Ids = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)[1]
    return ids


def _nearest_allowed(vectors: Vectors, query: Vectors, k: int, allowed: Allowed) -> Ids:
    """Return the k nearest of the allowed rows by comparing each of them, k at most their number."""
    rows, dim = vectors.shape
    asked = np.ascontiguousarray(query, np.float32)
    scores, ids = np.empty(k, np.float32), np.empty(k, np.int64)
    at = faiss.swig_ptr
    faiss.knn_inner_product(at(asked), at(vectors), dim, 1, rows, k, at(scores), at(ids), _selector(allowed))
    return ids


def _selector(allowed: Allowed) -> faiss.IDSelector:
    return faiss.IDSelectorBitmap(allowed.bits)  # type: ignore[call-arg, arg-type]  # the wheel's stubs know no arrays


def _train(vectors: Vectors) -> faiss.IndexIVF:
    """Return an empty inverted file whose lists' centres and codes were learnt from a sample of the rows."""
    lists = min(round(LISTS * float(np.sqrt(len(vectors)))), -(-len(vectors) // FEWEST_IN_LIST))
    dim = vectors.shape[1]
    codes, metric = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dim), dim, lists, codes, metric)
    index.cp.niter, index.cp.seed, index.cp.min_points_per_centroid = ROUNDS, SEED, 1
    sample = np.random.default_rng(SEED).permutation(len(vectors))[: TRAINING * lists]
    index.train(vectors[np.sort(sample)])
    return index


def _set_lists_read(index: faiss.IndexIVF, rows: Rows) -> float:
    """Let the index read as few lists a question as find RECALL_WANTED of the ten nearest; return what it then finds."""
    asked = probes(rows.array)
    nearest = _nearest(rows.array, asked, min(10, len(rows)))
    most = max(1, min(index.nlist, index.nlist * MOST_READ // len(rows)))
    index.nprobe = min(FEWEST_LISTS_READ, most)
    while True:
        recall = _recall(index, rows, asked, nearest)
        if recall >= RECALL_WANTED or index.nprobe == most:
            return recall
        index.nprobe = min(index.nprobe * 5 // 4, most)


def _recall(index: faiss.IndexIVF, rows: Rows, asked: Vectors, nearest: Ids) -> float:
    """Return the share of the nearest that are found, one of many equally near as good as another."""
    arm = DenseArm(rows, index)
    shares = []
    for probe, own in zip(asked, nearest, strict=True):
        least = arm.scores(probe, own).min()
        shares.append(np.mean(arm.search(probe, len(own))[1] >= least))
    return float(np.mean(shares))
