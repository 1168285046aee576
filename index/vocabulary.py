"""The words of the corpus with the number of chunks that hold each: written when an index is built, read for correction.

Words are as they stand in the text, lower case, without accents and possessive endings; anything with a digit is no word.
The ordinary English words lie beside them in a file of the same form. How they are held is words.py's business; what is a
slip, spelling.py decides.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from index.sounds import sound
from index.words import Vocabulary, VocabularyError, pack, read_words

__all__ = [
    "ENGLISH", "VOCABULARY", "VOCABULARY_FILES", "WORD", "Vocabulary", "VocabularyError", "check_vocabulary", "english",
    "open_english", "open_vocabulary", "plain", "words_of", "write_counts", "write_vocabulary",
]  # fmt: skip

VOCABULARY = "vocabulary.words"
ENGLISH = "english.words"
VOCABULARY_FILES = (VOCABULARY, ENGLISH)
# A run of letters with inner apostrophes: "can't", "Paget's".
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
LONGEST = 40
_RUN = re.compile(r"\w+(?:['’]\w+)*")
_ENGLISH_LIST = "frequency_dictionary_en_82_765.txt"


def plain(word: str) -> str:
    """Return the word in lower case, with straight apostrophes and without accents."""
    folded = word.casefold().replace("’", "'")
    if folded.isascii():
        return folded
    return "".join(char for char in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(char))


def words_of(text: str) -> set[str]:
    """Return the different words of a text, as a vocabulary holds them."""
    found = set()
    for run in set(_RUN.findall(text)):
        word = plain(run).removesuffix("'s")
        if 2 <= len(word) <= LONGEST and WORD.fullmatch(word):
            found.add(word)
    return found


def write_vocabulary(texts: Iterable[str], folder: Path) -> None:
    """Write the words of the texts, one text for each chunk, and the English words."""
    counts, chunks = _count(texts)
    write_counts(counts, chunks, folder)


def write_counts(counts: Mapping[str, int], chunks: int, folder: Path) -> None:
    """Write words with how many of the chunks hold each, and the English words."""
    (folder / VOCABULARY).write_bytes(pack(counts, chunks=chunks, sounds=map(sound, sorted(counts))))
    (folder / ENGLISH).write_bytes(_packed_english())


def _count(texts: Iterable[str]) -> tuple[Counter[str], int]:
    counts: Counter[str] = Counter()
    chunks = 0
    for text in texts:
        chunks += 1
        counts.update(words_of(text))
    return counts, chunks


def check_vocabulary(texts: Iterable[str], folder: Path) -> list[str]:
    """Return where the vocabulary in a folder differs from the words of the texts it was made from, or from English."""
    counts, chunks = _count(texts)
    held = open_vocabulary(folder)
    found = [f"the vocabulary counts {held.chunks} chunks, the index holds {chunks}"] if held.chunks != chunks else []
    found += [f"the vocabulary holds {word!r}, which stands nowhere in the corpus" for word in held if word not in counts]
    missing = sum(word not in held for word in counts)
    wrong = sum(word in held and held.count(word) != count for word, count in counts.items())
    if missing or wrong:
        found.append(f"the vocabulary leaves out {missing} words of the corpus and miscounts {wrong}")
    if not found and (folder / VOCABULARY).read_bytes() != pack(counts, chunks=chunks, sounds=map(sound, sorted(counts))):
        found.append("the vocabulary does not find its words as it should")
    if (folder / ENGLISH).read_bytes() != _packed_english():
        found.append("the list of English words is not the one of this version")
    return found


def open_vocabulary(folder: Path) -> Vocabulary:
    """Open the words of the corpus in a folder, or raise VocabularyError."""
    return read_words(folder / VOCABULARY)


def open_english(folder: Path) -> Vocabulary:
    """Open the English words in a folder, or raise VocabularyError."""
    return read_words(folder / ENGLISH)


@lru_cache(maxsize=1)
def english() -> Vocabulary:
    """Return the ordinary English words, in British and American spelling, made anew from the list of symspellpy."""
    return Vocabulary(_packed_english())


@lru_cache(maxsize=1)
def _packed_english() -> bytes:
    found = find_spec("symspellpy")  # its word list is read without importing it
    if found is None or not found.submodule_search_locations:
        raise VocabularyError("the package symspellpy with the list of English words is not installed; run make setup")
    path = Path(found.submodule_search_locations[0]) / _ENGLISH_LIST
    try:
        cells = path.read_text(encoding="utf-8-sig").split()
    except OSError as error:
        raise VocabularyError(f"{path} cannot be read: {error}; run make setup") from error
    return pack(dict(zip(cells[0::2], map(int, cells[1::2]), strict=True)), chunks=0)
