"""Words by length and by their letters, in arrays, so that few of many need be compared letter by letter with a given one.

An edit adds at most one letter to a word and takes at most one away; a swap does neither. So a word within a distance of
another differs from it in no more letters, counted with their repeats, than twice the distance. How often each letter stands
in a word is held in 64 bits, and the bits of many words are compared at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

Numbers = npt.NDArray[np.uint32]
Sets = npt.NDArray[np.uint64]

# One bit for each of a to z and one for any other character that stands in the word; as many for one that stands there
# twice; the bits left over for the letters of which words most often hold a third.
_LETTERS = 27
_THIRDS = "eaioscnrtl"
# Words whose letters are counted at a time.
_STEP = 65_536
_FIRST_BIT = {chr(ord("a") + at): 1 << at for at in range(26)}
_THIRD_BIT = {letter: 1 << (2 * _LETTERS + at) for at, letter in enumerate(_THIRDS)}


@dataclass(frozen=True, slots=True)
class Arrays:
    """What Nearness finds words by.

    ``order`` are the words' numbers by length, ``edges`` for each length the place in that order of its first word (one more
    at the end), ``letters`` the letters of each word in that order.
    """

    order: Numbers
    edges: Numbers
    letters: Sets


class Nearness:
    """Which of many words lie within a distance of a given one; ``texts`` gives the words of some numbers."""

    def __init__(self, arrays: Arrays, texts: Callable[[Numbers], list[str]]) -> None:
        self._order = arrays.order
        self._edges = arrays.edges.tolist()
        self._letters = arrays.letters
        self._texts = texts

    def near(self, word: str, distance: int) -> list[tuple[int, str, int]]:
        """Return the numbers of the words within the distance, the words, and their distances, by length."""
        edges, length, last = self._edges, len(word), len(self._edges) - 1
        first, end = edges[min(max(0, length - distance), last)], edges[min(length + distance + 1, last)]
        if first == end:
            return []
        differing = np.bitwise_count(self._letters[first:end] ^ np.uint64(letters_of(word)))
        likely = (differing <= 2 * distance).nonzero()[0]
        if not len(likely):
            return []
        likely += first
        numbers = self._order[likely]
        others = self._texts(numbers)
        apart = cdist([word], others, scorer=OSA.distance, score_cutoff=distance)[0]
        return [(int(numbers[at]), others[at], int(apart[at])) for at in (apart <= distance).nonzero()[0].tolist()]


def letters_of(word: str) -> int:
    """Return how often each letter stands in a word, as 64 bits."""
    bits = 0
    for char in word:
        first = _FIRST_BIT.get(char, 1 << 26)
        if not bits & first:
            bits |= first
        elif not bits & first << _LETTERS:
            bits |= first << _LETTERS
        else:
            bits |= _THIRD_BIT.get(char, 0)
    return bits


def arrays_of(words: Sequence[str]) -> Arrays:
    """Return the arrays that find the words near a given one."""
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    order = np.argsort(lengths, kind="stable")
    edges = np.searchsorted(lengths[order], np.arange(lengths.max(initial=0) + 2))
    letters = np.zeros(len(words), np.uint64)
    for start in range(0, len(words), _STEP):
        letters[start : start + _STEP] = _letters([words[at] for at in order[start : start + _STEP].tolist()])
    return Arrays(order.astype(np.uint32), edges.astype(np.uint32), letters)


def _letters(words: Sequence[str]) -> Sets:
    codes = np.frombuffer("".join(words).encode("ascii", "replace"), np.uint8).astype(np.int64) - ord("a")
    codes = np.where((codes >= 0) & (codes < 26), codes, 26)
    cells = np.repeat(np.arange(len(words)) * _LETTERS, np.fromiter(map(len, words), np.int64, len(words))) + codes
    counts = np.bincount(cells, minlength=len(words) * _LETTERS).reshape(-1, _LETTERS)
    bits = np.zeros(len(words), np.uint64)
    for at in range(_LETTERS):
        bits |= (counts[:, at] > 0).astype(np.uint64) << np.uint64(at)
        bits |= (counts[:, at] > 1).astype(np.uint64) << np.uint64(_LETTERS + at)
    for at, letter in enumerate(_THIRDS):
        bits |= (counts[:, ord(letter) - ord("a")] > 2).astype(np.uint64) << np.uint64(2 * _LETTERS + at)
    return bits
