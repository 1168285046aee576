"""The lexical arm: BM25 over stemmed words (Robertson & Zaragoza 2009), by bm25s and the Snowball stemmer.

Scores are computed when the index is built; a query adds up one sparse row for each of its words. The stemmer and the
stop words are English; a corpus in another language is matched by unstemmed-looking but still consistent forms.
"""

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import numpy.typing as npt
import Stemmer
from bm25s.stopwords import STOPWORDS_EN_PLUS

from corpus.passage import Span

Scores = npt.NDArray[np.float32]
# Chosen on eval seed, eval pages and scifact train, by benchmarks/fusion.py (docs/retrieval.md).
K1 = 0.9
B = 0.4
STEMMER = "english"
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_STOPWORDS = frozenset(STOPWORDS_EN_PLUS)


# bm25s logs every step at DEBUG level, whatever the application's level is.
logging.getLogger("bm25s").setLevel(logging.WARNING)


class LexicalError(Exception):
    """The BM25 files cannot be read."""


class LexicalArm:
    """A BM25 index over chunks in chunk order."""

    def __init__(self, engine: bm25s.BM25) -> None:
        self._engine = engine
        self._stemmer = Stemmer.Stemmer(STEMMER)
        self._holding = np.diff(engine.scores["indptr"])

    @classmethod
    def open(cls, folder: Path) -> "LexicalArm":
        """Open a BM25 folder, its arrays mapped from disk; raise LexicalError if it is not one."""
        try:
            return cls(bm25s.BM25.load(str(folder), mmap=True, load_corpus=False))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LexicalError(f"{folder} cannot be read as a BM25 index: {error}") from error

    @property
    def count(self) -> int:
        """The number of chunks indexed."""
        return int(self._engine.scores["num_docs"])

    def scores(self, query: str) -> Scores:
        """Return the BM25 score of every chunk, shape (chunks,); zeros where no word of the query is known."""
        known = [word for word in words(query, self._stemmer) if word in self._engine.vocab_dict]
        if not known:
            return np.zeros(self.count, np.float32)
        return np.asarray(self._engine.get_scores(known), np.float32)

    def rarity(self, word: str) -> float:
        """Return how rare a word is in the corpus: BM25's inverse document frequency of its stem, above 0."""
        stem = self._stemmer.stemWord(word.casefold().replace("’", "'"))
        number = self._engine.vocab_dict.get(stem)
        held = int(self._holding[number]) if number is not None and number < len(self._holding) else 0
        return math.log(1 + (self.count - held + 0.5) / (held + 0.5))


def content_spans(text: str) -> list[Span]:
    """Return the ranges of the text's words that are no stop words."""
    found = _WORD.finditer(text)
    return [Span(m.start(), m.end()) for m in found if m.group().casefold().replace("’", "'") not in _STOPWORDS]


def words(text: str, stemmer: Stemmer.Stemmer) -> list[str]:
    """Return the stems of the text's words in order, stop words left out."""
    found = [word.replace("’", "'") for word in _WORD.findall(text.casefold())]
    stems: list[str] = stemmer.stemWords([word for word in found if word not in _STOPWORDS])
    return stems


def write_lexical(texts: Sequence[str], folder: Path) -> None:
    """Index the texts, one for each chunk in chunk order, and write the BM25 folder."""
    stemmer = Stemmer.Stemmer(STEMMER)
    corpus = [words(text, stemmer) for text in texts]
    engine = bm25s.BM25(method="lucene", k1=K1, b=B)
    engine.index(corpus if any(corpus) else [["\x00"] for _ in corpus], show_progress=False)
    engine.save(str(folder))


def best(scores: Scores, k: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the k best chunks with a score above zero, best first, ties in chunk order."""
    found = np.flatnonzero(scores > 0)
    if len(found) > k:
        found = found[np.argpartition(-scores[found], k - 1)[:k]]
    return found[np.lexsort((found, -scores[found]))]
