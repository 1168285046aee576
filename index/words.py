"""A list of words with their counts as one run of bytes, mapped from a file: opened without parsing it, shared by processes.

The words stand in order, end to end; a table of their checksums finds a word, and arrays of their letters, and of their
sounds' letters, find those spelt or sounding nearly like one. Which words they are, vocabulary.py says.
"""

import mmap
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from index.nearness import Arrays, Nearness, Numbers, arrays_of
from index.sounds import sound

_MAGIC = b"citewell words 1"
_ALIGNED = 8
# Bytes a word is encoded to: whatever a question holds, also what no text can.
_ERRORS = "surrogatepass"


class VocabularyError(Exception):
    """A vocabulary cannot be read; the message says what is wrong and what to do."""


class _Head(NamedTuple):
    """What stands before the arrays: of the corpus, of the words, and of their sounds, of which there may be none."""

    chunks: int
    total: int
    words: int
    longest: int
    slots: int
    letters: int
    sounds: int
    longest_sound: int
    sound_letters: int


_HEAD_BYTES = len(_MAGIC) + 8 * len(_Head._fields)


class Vocabulary:
    """Words with how often each occurs, and which of them are spelt, or sound, nearly like a given word.

    ``data`` is what ``pack`` made; where it holds no sounds, nothing sounds alike. Raises ValueError where it is damaged.
    """

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data
        head = _read_head(data)
        self.chunks = head.chunks
        self.total = head.total
        places, size = _places(head)
        if size != len(data):
            raise ValueError(f"it has {len(data):,} bytes, expected {size:,}")
        arrays = {name: np.frombuffer(data, kind, count, start) for name, (kind, count, start) in places.items()}
        _check(arrays, head)
        self._words = head.words
        self._counts = arrays["counts"].data
        self._starts = arrays["starts"].data
        self._slots = arrays["slots"].data
        self._text_at = places["text"][2]
        self._sounds_at = places["sound_text"][2]
        self._arrays = arrays

    def __contains__(self, word: str) -> bool:
        """Say whether the word, lower case, is one of these."""
        return self._number(word) is not None

    def __len__(self) -> int:
        """Return the number of words."""
        return self._words

    def __iter__(self) -> Iterator[str]:
        """Yield the words in order."""
        return map(self._word, range(self._words))

    def count(self, word: str) -> int:
        """Return how many chunks hold the word (of the English list: how often it was seen); 0 for an unknown word."""
        number = self._number(word)
        return 0 if number is None else self._counts[number]

    def near(self, word: str, distance: int) -> dict[str, int]:
        """Return the words within the distance and theirs: letters added, dropped, changed, or swapped with the next."""
        return {other: apart for _, other, apart in self._by_letters.near(word, distance)}

    def alike(self, word: str, distance: int) -> dict[str, int]:
        """Return the words whose sound is within the distance of the word's sound, and that distance."""
        return {self._word(number): apart for number, _, apart in self._by_sound.near(sound(word), distance)}

    def _number(self, word: str) -> int | None:
        key = word.encode("utf-8", _ERRORS)
        slots, starts, last = self._slots, self._starts, len(self._slots) - 1
        at = crc32(key) & last
        while slots[at]:
            number = slots[at] - 1
            start, end = self._text_at + starts[number], self._text_at + starts[number + 1]
            if end - start == len(key) and self._data[start:end] == key:
                return number
            at = (at + 1) & last
        return None

    def _word(self, number: int) -> str:
        return self._data[self._text_at + self._starts[number] : self._text_at + self._starts[number + 1]].decode()

    def _texts(self, numbers: Numbers) -> list[str]:
        starts = self._arrays["starts"]
        return self._slices(starts[numbers], starts[numbers + 1], self._text_at)

    def _sounds(self, numbers: Numbers) -> list[str]:
        starts = self._arrays["sound_starts"]
        return self._slices(starts[numbers], starts[numbers + 1], self._sounds_at)

    def _slices(self, starts: Numbers, ends: Numbers, at: int) -> list[str]:
        data = self._data
        return [data[at + start : at + end].decode() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    @cached_property
    def _by_letters(self) -> Nearness:
        own = self._arrays
        return Nearness(Arrays(own["order"], own["edges"], own["sets"]), self._texts)

    @cached_property
    def _by_sound(self) -> Nearness:
        own = self._arrays
        return Nearness(Arrays(own["sound_order"], own["sound_edges"], own["sound_sets"]), self._sounds)


def read_words(path: Path) -> Vocabulary:
    """Map a file of words, or raise VocabularyError."""
    try:
        with path.open("rb") as stream:
            return Vocabulary(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise VocabularyError(f"{path} cannot be read as a list of words: {error}; build the index again") from error


def pack(counts: Mapping[str, int], *, chunks: int, sounds: Iterable[str] = ()) -> bytes:
    """Return words and counts as bytes, always the same for the same; ``sounds`` are the words' in order, or none."""
    words, own_sounds = sorted(counts), list(sounds)
    text, starts = _joined(words)
    sound_text, sound_starts = _joined(own_sounds)
    found, alike = arrays_of(words), arrays_of(own_sounds)
    numbers = np.fromiter((counts[word] for word in words), np.uint64, len(words))
    head = _Head(
        chunks=chunks,
        total=max(1, sum(counts.values())),
        words=len(words),
        longest=len(found.edges) - 2,
        slots=1 << (3 * len(words) // 2).bit_length(),
        letters=len(text),
        sounds=len(own_sounds),
        longest_sound=len(alike.edges) - 2,
        sound_letters=len(sound_text),
    )
    slots = _slots(words, head.slots)
    arrays = {
        "counts": numbers, "starts": starts, "slots": slots, "order": found.order, "edges": found.edges, "sets": found.letters,
        "sound_starts": sound_starts, "sound_order": alike.order, "sound_edges": alike.edges, "sound_sets": alike.letters,
        "text": np.frombuffer(text, np.uint8), "sound_text": np.frombuffer(sound_text, np.uint8),
    }  # fmt: skip
    places, size = _places(head)
    data = bytearray(size)
    data[:_HEAD_BYTES] = _MAGIC + np.array(head, "<i8").tobytes()
    for name, (kind, count, start) in places.items():
        np.frombuffer(data, kind, count, start)[:] = arrays[name]
    return bytes(data)


def _joined(words: list[str]) -> tuple[bytes, Numbers]:
    encoded = [word.encode() for word in words]
    return b"".join(encoded), np.cumsum([0, *map(len, encoded)], dtype=np.int64).astype(np.uint32)


def _slots(words: list[str], size: int) -> Numbers:
    """Return a table of the words' numbers, from 1, each at its checksum or in the next free slot."""
    slots = [0] * size
    for number, word in enumerate(words, 1):
        at = crc32(word.encode()) & (size - 1)
        while slots[at]:
            at = (at + 1) & (size - 1)
        slots[at] = number
    return np.array(slots, np.uint32)


def _places(head: _Head) -> tuple[dict[str, tuple[str, int, int]], int]:
    """Return each array's type, length and first byte, and the number of bytes of all."""
    sizes = {
        "counts": ("<u8", head.words), "starts": ("<u4", head.words + 1), "slots": ("<u4", head.slots),
        "order": ("<u4", head.words), "edges": ("<u4", head.longest + 2), "sets": ("<u8", head.words),
        "sound_starts": ("<u4", head.sounds + 1), "sound_order": ("<u4", head.sounds),
        "sound_edges": ("<u4", head.longest_sound + 2), "sound_sets": ("<u8", head.sounds),
        "text": ("<u1", head.letters), "sound_text": ("<u1", head.sound_letters),
    }  # fmt: skip
    places, at = {}, _HEAD_BYTES
    for name, (kind, count) in sizes.items():
        at += -at % _ALIGNED
        places[name] = (kind, count, at)
        at += count * int(kind[2])
    return places, at


def _read_head(data: bytes | mmap.mmap) -> _Head:
    if len(data) < _HEAD_BYTES or data[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"it does not begin with {_MAGIC.decode()!r}")
    head = _Head(*np.frombuffer(data, "<i8", len(_Head._fields), len(_MAGIC)).tolist())
    if min(head) < 0 or max(head[2:]) > len(data) or head.sounds not in (0, head.words) or head.slots.bit_count() != 1:
        raise ValueError("its head is damaged")
    return head


def _check(arrays: Mapping[str, npt.NDArray[np.unsignedinteger]], head: _Head) -> None:
    """Raise ValueError where a number in the arrays leads outside them."""
    for starts, end in (("starts", head.letters), ("edges", head.words), ("sound_starts", head.sound_letters)):
        _check_rising(arrays[starts], end, starts)
    _check_rising(arrays["sound_edges"], head.sounds, "sound_edges")
    for numbers, most in (("slots", head.words), ("order", head.words - 1), ("sound_order", head.sounds - 1)):
        if arrays[numbers].size and int(arrays[numbers].max()) > most:
            raise ValueError(f"its {numbers} lead to no word")
    if int(np.count_nonzero(arrays["slots"])) != head.words or head.slots <= head.words:
        raise ValueError("its slots do not hold all words")


def _check_rising(numbers: npt.NDArray[np.unsignedinteger], end: int, name: str) -> None:
    if int(numbers[0]) != 0 or int(numbers[-1]) != end or bool((numbers[1:] < numbers[:-1]).any()):
        raise ValueError(f"its {name} do not rise from 0 to {end}")
