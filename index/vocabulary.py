"""The words of the corpus with the number of chunks that hold each: written when an index is built, read for correction.

Words are as they stand in the text, lower case, without accents and possessive endings; anything with a digit is no word.
The same value holds the bundled list of ordinary English words. What is a slip, spelling.py decides.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import OSA

VOCABULARY = "vocabulary.tsv"
# A run of letters with inner apostrophes: "can't", "Paget's".
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
LONGEST = 40
_RUN = re.compile(r"\w+(?:['’]\w+)*")
_FIRST_CELL = "#chunks"
_ENGLISH_FILE = "frequency_dictionary_en_82_765.txt"
# Spellings of one sound, folded in this order: "pneumonia" and "newmonia" meet in "numonia".
_SOUNDS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^(?:pn|kn|gn|mn)", "n"),
        (r"^ps", "s"),
        (r"^wr", "r"),
        (r"ph", "f"),
        (r"r+h", "r"),
        (r"ae|oe", "e"),
        (r"eu|ew|ui|ue|oo", "u"),
        (r"sc(?=[eiy])|x(?=[ei])|c(?=[eiy])|z", "s"),
        (r"ck|ch(?=[rl])|q|c(?!h)", "k"),
        (r"y", "i"),
        (r"(.)\1+", r"\1"),
    )
)


class VocabularyError(Exception):
    """A vocabulary cannot be read; the message says what is wrong and what to do."""


class Vocabulary:
    """Words with how often each occurs, and which of them are spelt, or sound, nearly like a given word.

    ``sounds`` holds each word's sound in word order; it may be empty, and then nothing sounds alike.
    """

    def __init__(self, words: Sequence[str], counts: Sequence[int], *, chunks: int, sounds: Sequence[str] = ()) -> None:
        self.chunks = chunks
        self.total = max(1, sum(counts))
        self._words = words
        self._sounds = sounds
        self._counts = dict(zip(words, counts, strict=True))

    def __contains__(self, word: str) -> bool:
        """Say whether the word, lower case, is one of these."""
        return word in self._counts

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self._words)

    def __iter__(self) -> Iterator[str]:
        """Yield the words in order."""
        return iter(self._words)

    def count(self, word: str) -> int:
        """Return how many chunks hold the word (of the English list: how often it was seen); 0 for an unknown word."""
        return self._counts.get(word, 0)

    def near(self, word: str, distance: int) -> dict[str, int]:
        """Return the words within the distance and theirs: letters added, dropped, changed, or swapped with the next."""
        return {self._words[at]: own for at, own in self._by_letters.near(word, distance)}

    def alike(self, word: str, distance: int) -> dict[str, int]:
        """Return the words whose sound is within the distance of the word's sound, and that distance."""
        return {self._words[at]: own for at, own in self._by_sound.near(sound(word), distance)}

    @cached_property
    def _by_letters(self) -> "_Letters":
        return _Letters(self._words)

    @cached_property
    def _by_sound(self) -> "_Letters":
        return _Letters(self._sounds)


class _Letters:
    """Words by length and as sets of letters, so that few of them need be compared letter by letter.

    An edit adds at most one letter to a word's set and takes at most one away.
    """

    def __init__(self, words: Sequence[str]) -> None:
        lengths = np.fromiter((len(word) for word in words), np.int64, len(words))
        self._order = np.argsort(lengths, kind="stable")
        self._words = [words[at] for at in self._order.tolist()]
        self._lengths = lengths[self._order]
        self._sets = _letter_sets(self._words, self._lengths)

    def near(self, word: str, distance: int) -> list[tuple[int, int]]:
        """Return the positions of the words within the distance, and their distances."""
        first = int(np.searchsorted(self._lengths, len(word) - distance))
        last = int(np.searchsorted(self._lengths, len(word) + distance, "right"))
        sets, own = self._sets[first:last], _letter_sets([word], np.array([len(word)]))[0]
        alike = (np.bitwise_count(sets & ~own) <= distance) & (np.bitwise_count(own & ~sets) <= distance)
        found = []
        for at in (np.flatnonzero(alike) + first).tolist():
            apart = OSA.distance(word, self._words[at], score_cutoff=distance)
            if apart <= distance:
                found.append((int(self._order[at]), apart))
        return found


def _letter_sets(words: Sequence[str], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Return each word's letters as bits; anything but a to z shares one bit."""
    if not len(words):
        return np.zeros(0, np.uint32)
    codes = np.frombuffer("".join(words).encode("ascii", "replace"), np.uint8).astype(np.uint32) - ord("a")
    bits = np.left_shift(np.uint32(1), np.minimum(codes, 26))
    starts = np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)])
    return np.asarray(np.bitwise_or.reduceat(bits, starts), np.uint32)


def plain(word: str) -> str:
    """Return the word in lower case, with straight apostrophes and without accents."""
    folded = word.casefold().replace("’", "'")
    if folded.isascii():
        return folded
    return "".join(char for char in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(char))


def sound(word: str) -> str:
    """Return a spelling that words of one sound share."""
    for pattern, replacement in _SOUNDS:
        word = pattern.sub(replacement, word)
    return word


def words_of(text: str) -> set[str]:
    """Return the different words of a text, as a vocabulary holds them."""
    found = set()
    for run in set(_RUN.findall(text)):
        word = plain(run).removesuffix("'s")
        if 2 <= len(word) <= LONGEST and WORD.fullmatch(word):
            found.add(word)
    return found


def write_vocabulary(texts: Iterable[str], folder: Path) -> None:
    """Write the words of the texts, one text for each chunk: a line each with the count of chunks and the sound."""
    write_counts(*_count(texts), folder)


def write_counts(counts: Mapping[str, int], chunks: int, folder: Path) -> None:
    """Write a vocabulary: the number of chunks that hold each word, and the number of chunks."""
    lines = [f"{_FIRST_CELL}\t{chunks}\t-\n"]
    lines += [f"{word}\t{count}\t{sound(word)}\n" for word, count in sorted(counts.items())]
    (folder / VOCABULARY).write_text("".join(lines), encoding="utf-8", newline="\n")


def _count(texts: Iterable[str]) -> tuple[Counter[str], int]:
    counts: Counter[str] = Counter()
    chunks = 0
    for text in texts:
        chunks += 1
        counts.update(words_of(text))
    return counts, chunks


def check_vocabulary(texts: Iterable[str], folder: Path) -> list[str]:
    """Return where the vocabulary in a folder differs from the words of the texts it was made from."""
    counts, chunks = _count(texts)
    held = open_vocabulary(folder)
    found = [f"the vocabulary counts {held.chunks} chunks, the index holds {chunks}"] if held.chunks != chunks else []
    found += [f"the vocabulary holds {word!r}, which stands nowhere in the corpus" for word in held if word not in counts]
    missing = sum(word not in held for word in counts)
    wrong = sum(word in held and held.count(word) != count for word, count in counts.items())
    if missing or wrong:
        found.append(f"the vocabulary leaves out {missing} words of the corpus and miscounts {wrong}")
    return found


def open_vocabulary(folder: Path) -> Vocabulary:
    """Open the vocabulary in a folder, or raise VocabularyError."""
    path = folder / VOCABULARY
    try:
        cells = path.read_text(encoding="utf-8").split()
        words, counts, sounds = cells[0::3], [int(cell) for cell in cells[1::3]], cells[2::3]
    except (OSError, ValueError) as error:
        raise VocabularyError(f"{path} cannot be read as a vocabulary: {error}; build the index again") from error
    if not words or words[0] != _FIRST_CELL or len(words) != len(sounds):
        raise VocabularyError(f"{path} is no vocabulary or is cut short; build the index again")
    return Vocabulary(words[1:], counts[1:], chunks=counts[0], sounds=sounds[1:])


@lru_cache(maxsize=1)
def english() -> Vocabulary:
    """Return the ordinary English words, in British and American spelling, that come with symspellpy."""
    found = find_spec("symspellpy")  # its word list is read without importing it
    if found is None or not found.submodule_search_locations:
        raise VocabularyError("the package symspellpy with the list of English words is not installed; run make setup")
    path = Path(found.submodule_search_locations[0]) / _ENGLISH_FILE
    try:
        cells = path.read_text(encoding="utf-8-sig").split()
    except OSError as error:
        raise VocabularyError(f"{path} cannot be read: {error}; run make setup") from error
    counts = dict(zip(cells[0::2], (int(cell) for cell in cells[1::2]), strict=True))
    return Vocabulary(list(counts), list(counts.values()), chunks=0)
