"""The second grain on disk: a vector for each sentence, eight bits a component, read only for candidates.

Each vector is stored as whole numbers from -127 to 127 and the number they are multiplied with; for vectors of 384 components
and length 1 its inner products are off by about 0.002 at most. Where sentences begin is passages.py's to know.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from index.encoder import Vectors
from index.mapped import Rows, mapped

CODES, SCALES = "sentence_vectors.npy", "sentence_scales.npy"
Ids = npt.NDArray[np.int64]


class SentenceArm:
    """The sentence vectors of a generation."""

    def __init__(self, folder: Path) -> None:
        self._codes = Rows(folder / CODES)
        self._scales = mapped(folder / SCALES)
        if len(self._codes) != len(self._scales):
            raise ValueError(f"{folder} holds {len(self._codes)} sentence vectors and {len(self._scales)} scales")

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self._scales)

    def similarities(self, vector: Vectors, sentences: Ids) -> Vectors:
        """Return the inner products of a vector of shape (dim,) with the given sentences."""
        products = self._codes.take(sentences).astype(np.float32) @ vector
        return np.asarray(products * self._scales[sentences], np.float32)

    def best(self, vector: Vectors, firsts: Ids, lasts: Ids) -> Vectors:
        """Return the greatest inner product over each range of sentences, shape (ranges,); 0 for an empty range."""
        products = self.similarities(vector, numbers(firsts, lasts))
        return np.asarray(greatest(products[None, :], lasts - firsts)[0], np.float32)


def numbers(firsts: Ids, lasts: Ids) -> Ids:
    """Return the numbers of several ranges, one range after the other."""
    lengths = lasts - firsts
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) + np.repeat(firsts - ends + lengths, lengths), np.int64)


def greatest(rows: Vectors, lengths: Ids) -> Vectors:
    """Return the greatest value of each of several groups of neighbouring columns, shape (rows, groups); 0 for an empty one."""
    found = np.zeros((len(rows), len(lengths)), np.float32)
    filled = np.flatnonzero(lengths)
    if len(filled):
        starts = (np.cumsum(lengths) - lengths)[filled]
        found[:, filled] = np.maximum.reduceat(rows, starts, axis=1)
    return found


def quantise(vectors: Vectors) -> tuple[npt.NDArray[np.int8], Vectors]:
    """Return vectors of shape (n, dim) as whole numbers from -127 to 127, and the factor of each, shape (n,)."""
    scales = np.abs(vectors).max(axis=1, initial=0.0) / 127
    codes = np.rint(vectors / np.maximum(scales, 1e-12)[:, None]).astype(np.int8)
    return codes, scales.astype(np.float32)
