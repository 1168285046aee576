"""Arrays mapped from disk: shared between processes, and never more of them resident than needed.

A numpy memmap costs a microsecond and more for each look; a plain array over the same mapping does not. The kernel maps the
neighbours of every page that is touched, so scattered reads of a file of gigabytes would in time make all of it resident;
a Rows counts its reads and gives the pages back now and then. Nothing here knows what the arrays mean.
"""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Bytes of a file that scattered reads may keep mapped, by estimate, before the pages are given back to the page cache.
RESIDENT = 192 * 1024 * 1024
# What one scattered read maps: Linux maps the 64 KiB around a page (fault_around_bytes).
MAPPED_AROUND = 64 * 1024


def mapped(path: Path) -> npt.NDArray[Any]:
    """Return a .npy file as a plain read-only array over its mapping."""
    return np.asarray(np.load(path, mmap_mode="r"))


class Rows:
    """The rows of a .npy file, read scattered."""

    def __init__(self, path: Path) -> None:
        loaded = np.load(path, mmap_mode="r")
        self.array: npt.NDArray[Any] = np.asarray(loaded)
        self._map: Any = getattr(loaded, "_mmap", None)
        self._bounded = loaded.nbytes > RESIDENT
        self._reads = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.array)

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return a copy of the given rows."""
        found: npt.NDArray[Any] = self.array[rows]
        if self._bounded and self._map is not None:
            runs = int(np.count_nonzero(np.diff(rows) != 1)) + 1
            self._count(runs + found.nbytes // MAPPED_AROUND)
        return found

    def _count(self, reads: int) -> None:
        # A lost update of the count by another thread only makes the pages stay a little longer.
        self._reads += reads
        if self._reads * MAPPED_AROUND > RESIDENT:
            self._reads = 0
            self._map.madvise(mmap.MADV_DONTNEED)
