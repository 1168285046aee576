"""The dense arm (interim, exact)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from index.encoder import Vectors
from index.mapped import Rows

Ids = npt.NDArray[np.int64]
VECTORS = "chunk_vectors.npy"
APPROXIMATE = "dense.ann.faiss"


class DenseError(Exception):
    """The vector files cannot be read."""


@dataclass(frozen=True, slots=True)
class DenseFacts:
    """How chunk vectors are searched."""

    kind: str
    parameters: dict[str, Any]
    recall_at_10: float
    measured_on: str


class DenseArm:
    """Chunk vectors that can be searched and looked up by chunk number."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @classmethod
    def open(cls, folder: Path) -> "DenseArm":
        """Open."""
        try:
            return cls(Rows(folder / VECTORS))
        except (OSError, ValueError, EOFError) as error:
            raise DenseError(f"{folder / VECTORS} cannot be read as chunk vectors: {error}") from error

    @property
    def count(self) -> int:
        """The number of vectors."""
        return len(self._rows)

    @property
    def dim(self) -> int:
        """The number of components of a vector."""
        return int(self._rows.array.shape[1])

    def search(self, query: Vectors, k: int) -> tuple[Ids, Vectors]:
        """Return the numbers and scores of the k chunks nearest to a query of shape (dim,), best first."""
        faiss.omp_set_num_threads(1)
        scores, ids = faiss.knn(query[None, :], self._rows.array, min(k, self.count), metric=faiss.METRIC_INNER_PRODUCT)
        return ids[0], scores[0]

    def scores(self, query: Vectors, ids: Ids) -> Vectors:
        """Return the inner products of a query of shape (dim,) with the given chunks."""
        return np.asarray(self._rows.take(ids) @ query, np.float32)


def write_dense(folder: Path) -> DenseFacts:
    """Decide."""
    return DenseFacts("exact", {}, 1.0, "")
