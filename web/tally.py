"""Numbers that forked processes add up side by side: a row for each process, in memory they share.

Each process writes to its own row only, so none waits for another, none loses a count, and a process that takes a crashed
one's place counts on from where it ended. Nothing here knows what is counted.
"""

from mmap import mmap


class Tally:
    """Rows of numbers, all zero at first; made before processes are forked."""

    def __init__(self, rows: int, width: int) -> None:
        self._rows, self._width = rows, width
        self._memory = mmap(-1, rows * width * 8)
        self._numbers = memoryview(self._memory).cast("d")

    def add(self, row: int, place: int, amount: float = 1.0) -> None:
        """Add to one number of a row; on one thread of the row's process alone."""
        self._numbers[row * self._width + place] += amount

    def total(self, place: int) -> float:
        """Return the sum of one number over all rows."""
        return sum(self._numbers[place :: self._width])
