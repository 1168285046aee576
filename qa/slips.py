"""Which words a misspelt one may stand for: words one letter apart, found by what both are with one letter left out.

Each word is filed under the checksum of itself and of each such form, in two arrays of numbers that are read as they lie in a
file. Whether a word is a slip, vocabulary.py decides.
"""

from binascii import a2b_base64, b2a_base64
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class Slips:
    """Words of four letters or more, the checksums of their forms in ascending order, and the word each form is of."""

    words: tuple[str, ...]
    checksums: memoryview
    owners: memoryview

    def near(self, word: str) -> set[str]:
        """Return the words one letter apart from the given one or less, and perhaps a few more."""
        words, checksums, owners, last = self.words, self.checksums, self.owners, len(self.checksums)
        found = set()
        for checksum in {crc32(form.encode("utf-8", "surrogatepass")) for form in _forms(word)}:
            at = bisect_left(checksums, checksum)
            while at < last and checksums[at] == checksum:
                found.add(words[owners[at]])
                at += 1
        return found


def written_slips(words: Iterable[str]) -> dict[str, object]:
    """Return the words and their forms as JSON can hold them."""
    kept = sorted({word for word in words if len(word) >= _SHORTEST})
    filed = sorted({(crc32(form.encode()), owner) for owner, word in enumerate(kept) for form in _forms(word)})
    checksums, owners = (
        b2a_base64(np.array([pair[at] for pair in filed], "<u4").tobytes(), newline=False).decode() for at in (0, 1)
    )
    return {"words": kept, "checksums": checksums, "owners": owners}


def read_slips(written: Mapping[str, Any]) -> Slips:
    """Return what was written."""
    checksums, owners = (np.frombuffer(a2b_base64(written[name]), "<u4").data for name in ("checksums", "owners"))
    return Slips(tuple(written["words"]), checksums, owners)


def _forms(word: str) -> list[str]:
    return [word, *[word[:i] + word[i + 1 :] for i in range(len(word))]]
