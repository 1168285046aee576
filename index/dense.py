"""The dense arm: exact inner-product search over chunk vectors with FAISS. The only module that imports faiss.

Vectors are stored in chunk order, so a FAISS id is a chunk number. Cosine models' vectors have length 1, and their inner
product is their cosine.
"""

from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from index.encoder import Vectors

Ids = npt.NDArray[np.int64]


class DenseError(Exception):
    """The vector file cannot be read as a FAISS index."""


class DenseArm:
    """Chunk vectors that can be searched and looked up by chunk number."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    @classmethod
    def open(cls, path: Path) -> "DenseArm":
        """Open a vector file, its vectors mapped from disk; raise DenseError if it is not one."""
        try:
            return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))
        except RuntimeError as error:
            raise DenseError(f"{path} cannot be read as a FAISS index: {error}") from error

    @property
    def count(self) -> int:
        """The number of vectors."""
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """The number of components of a vector."""
        return int(self._index.d)

    def search(self, query: Vectors, k: int) -> tuple[Ids, Vectors]:
        """Return the numbers and scores of the k chunks nearest to a query of shape (dim,), best first."""
        # The setting holds for the calling thread alone: parallel questions come from parallel calls.
        faiss.omp_set_num_threads(1)
        scores, ids = self._index.search(query[None, :], min(k, self.count))
        return ids[0], scores[0]

    def scores(self, query: Vectors, ids: Ids) -> Vectors:
        """Return the inner products of a query of shape (dim,) with the given chunks."""
        if not len(ids):
            return np.zeros(0, np.float32)
        return np.asarray(self._index.reconstruct_batch(ids) @ query, np.float32)


def write_dense(vectors: Vectors, path: Path) -> None:
    """Write chunk vectors of shape (chunks, dim) as an exact inner-product index."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, np.float32))
    faiss.write_index(index, str(path))
