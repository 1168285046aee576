"""What passages are filtered by, publisher, document and language: on disk, and as a mask of the chunks that may be found.

Each passage has a digest of 8 bytes for each field, so a filter on a million passages reads 24 MB once and parses nothing;
what it allows is kept for the next question. Two values of one digest would be taken for one another: among a million
different values there are two such in one corpus of 37 million. How a masked search finds its best is the arms' business.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from corpus.passage import Passage
from index.mapped import mapped

FACETS = "facets.npy"
FIELDS = ("publisher", "document", "language")
FACET_ROW = np.dtype([(name, "<u8") for name in FIELDS])
# Filters whose masks are kept: one takes 1.1 bytes a chunk.
KEPT_MASKS = 8


@dataclass(frozen=True, slots=True)
class Filters:
    """Which passages may be found: those that have, in each field for which values are given, exactly one of these."""

    publisher: tuple[str, ...] = ()
    document: tuple[str, ...] = ()
    language: tuple[str, ...] = ()

    @property
    def given(self) -> dict[str, tuple[str, ...]]:
        """The values of each field that has any; empty where every passage may be found."""
        return {name: values for name in FIELDS if (values := getattr(self, name))}


EVERYTHING = Filters()


@dataclass(frozen=True, slots=True, eq=False)
class Allowed:
    """The chunks that may be found: a mask of shape (chunks,), the same as bits, the lowest first, and how many they are."""

    mask: npt.NDArray[np.bool_]
    bits: npt.NDArray[np.uint8]
    count: int

    @classmethod
    def of(cls, mask: npt.NDArray[np.bool_]) -> "Allowed":
        """Return the chunks that a mask allows."""
        return cls(mask, np.packbits(mask, bitorder="little"), int(np.count_nonzero(mask)))


class Facets:
    """The facets of one generation's passages, and the chunks each filter allows; safe to use from several threads at once.

    ``passages`` holds the number of each chunk's passage, shape (chunks,).
    """

    def __init__(self, folder: Path, passages: npt.NDArray[np.uint32]) -> None:
        self._rows = mapped(folder / FACETS)
        if self._rows.dtype != FACET_ROW or self._rows.ndim != 1:
            raise ValueError(f"{FACETS} holds {self._rows.dtype} of shape {self._rows.shape}, expected one row a passage")
        self._passages = passages
        self._kept = lru_cache(KEPT_MASKS)(self._allowed)

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self._rows)

    def allowed(self, filters: Filters) -> Allowed | None:
        """Return the chunks that a filter allows, None where it allows every one because it names no value."""
        return self._kept(filters) if filters.given else None

    def _allowed(self, filters: Filters) -> Allowed:
        passages = np.ones(len(self._rows), bool)
        for name, values in filters.given.items():
            passages &= np.isin(self._rows[name], _digests(values))
        return Allowed.of(passages[self._passages])

    def holds(self, number: int, passage: Passage) -> bool:
        """Say whether the row of the given number is that of a passage."""
        return bool(self._rows[number] == _row(passage))


class FacetWriter:
    """Writes the facets of passages as they come, and keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self._stream: BinaryIO = (folder / FACETS).open("wb")
        self._count = 0
        self._write_header()

    def add(self, passage: Passage) -> None:
        """Write one passage's facets."""
        self._stream.write(_row(passage).tobytes())
        self._count += 1

    def close(self) -> None:
        """End the file."""
        self._stream.seek(0)
        self._write_header()
        self._stream.close()

    def _write_header(self) -> None:
        # The header of any number of rows has the same length: numpy leaves room for the digits.
        header = {"descr": np.lib.format.dtype_to_descr(FACET_ROW), "fortran_order": False, "shape": (self._count,)}
        np.lib.format.write_array_header_1_0(self._stream, header)


def _row(passage: Passage) -> npt.NDArray[np.void]:
    return np.array(tuple(_digests([getattr(passage, name)])[0] for name in FIELDS), FACET_ROW)


def _digests(values: Sequence[str]) -> npt.NDArray[np.uint64]:
    digests = (hashlib.blake2b(value.encode("utf-8"), digest_size=8).digest() for value in values)
    return np.frombuffer(b"".join(digests), "<u8")
