"""The lexical arm: BM25 over stemmed words (Robertson & Zaragoza 2009), its postings mapped from disk.

Each posting's score is computed when the index is built, as Lucene does; a query adds up its words' postings, the rarest
first, and stops reading whole lists where the words left can bring no chunk among the best any more (MaxScore: Turtle & Flood
1995). The stemmer and the stop words are English; a corpus in another language is matched by unstemmed-looking but still
consistent forms. What is written here comes from postings.py.
"""

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import Stemmer

from corpus.passage import Span
from index.facets import Allowed
from index.mapped import mapped
from index.stop_words import STOP_WORDS

Scores = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
# Chosen on eval seed, eval pages and scifact train, by benchmarks/fusion.py (docs/retrieval.md).
K1 = 0.9
B = 0.4
STEMMER = "english"
# Files of the lexical folder: 8-byte hashes of the stems in ascending order, where each stem's postings begin, the chunks that
# hold it in ascending order, its score in each, its greatest score, and the number of chunks.
STEMS, STARTS, HOLDERS, IMPACTS, CEILINGS, CHUNK_COUNT = (
    f"{name}.npy" for name in ("stems", "starts", "holders", "impacts", "ceilings", "chunks")
)
LEXICAL_FILES = (STEMS, STARTS, HOLDERS, IMPACTS, CEILINGS, CHUNK_COUNT)
# Postings up to which a list is simply added: less than looking whether it may be passed over.
SHORT_LIST = 4096
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class LexicalError(Exception):
    """The BM25 files cannot be read."""


@dataclass(frozen=True, slots=True)
class LexicalQuery:
    """A query's known stems, by number, and how often each occurs; shapes (stems,)."""

    stems: Ids
    counts: npt.NDArray[np.float32]


class LexicalArm:
    """A BM25 index over chunks in chunk order; safe to search from several threads at once."""

    def __init__(self, folder: Path) -> None:
        try:
            self._stems, self._starts, self._holders, self._impacts, self._ceilings = (
                mapped(folder / name) for name in (STEMS, STARTS, HOLDERS, IMPACTS, CEILINGS)
            )
            self.count = int(np.load(folder / CHUNK_COUNT))
        except (OSError, EOFError, ValueError, TypeError) as error:
            raise LexicalError(f"{folder} cannot be read as a BM25 index: {error}") from error
        if len(self._starts) != len(self._stems) + 1 or int(self._starts[-1]) != len(self._holders):
            raise LexicalError(f"{folder} cannot be read as a BM25 index: its stems and postings do not agree")
        self._stemmer = Stemmer.Stemmer(STEMMER)

    def read(self, query: str) -> LexicalQuery:
        """Return the query's stems that stand in the corpus."""
        found: dict[int, int] = {}
        for stem in words(query, self._stemmer):
            number = self._number(stem)
            if number is not None:
                found[number] = found.get(number, 0) + 1
        return LexicalQuery(np.array(list(found), np.int64), np.array(list(found.values()), np.float32))

    def search(self, query: LexicalQuery, k: int, allowed: Allowed | None = None) -> tuple[Ids, Scores]:
        """Return the numbers and scores of the k best chunks with a score above zero, best first, ties in chunk order.

        Of ``allowed`` chunks the k best are found as if there were no others, scored as ever; None allows all.
        """
        if not len(query.stems) or k < 1:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        found = self._candidates(query, k, allowed)
        scores = self.scores(query, found)
        order = np.lexsort((found, -scores))[:k]
        return found[order], scores[order]

    def scores(self, query: LexicalQuery, ids: Ids) -> Scores:
        """Return the BM25 scores of the chunks with the given numbers."""
        total = np.zeros(len(ids), np.float32)
        keys = ids.astype(np.uint32)  # of the holders' own type: another would have whole lists converted, and read
        for stem, count in zip(query.stems.tolist(), query.counts, strict=True):
            holders, impacts = self._postings(stem)
            at = np.minimum(np.searchsorted(holders, keys), len(holders) - 1)
            total += np.where(holders[at] == keys, impacts[at] * count, np.float32(0))
        return total

    def rarity(self, word: str) -> float:
        """Return how rare a word is in the corpus: BM25's inverse document frequency of its stem, above 0."""
        number = self._number(self._stemmer.stemWord(word.casefold().replace("’", "'")))
        held = 0 if number is None else int(self._starts[number + 1] - self._starts[number])
        return math.log(1 + (self.count - held + 0.5) / (held + 0.5))

    def damaged_tables(self) -> list[str]:
        """Return what is wrong with the postings; an empty list when every one of them leads to a chunk, in order."""
        inner = np.ones(len(self._holders), bool)
        inner[self._starts[:-1][self._starts[:-1] < len(inner)].astype(np.int64)] = False  # where a list begins anew
        ascending = np.diff(self._holders.astype(np.int64), prepend=-1)[inner] > 0
        facts = (
            (STEMS, bool(np.all(self._stems[:-1] < self._stems[1:]))),
            (STARTS, int(self._starts[0]) == 0 and bool(np.all(self._starts[:-1] < self._starts[1:]))),
            (HOLDERS, bool(np.all(ascending)) and (not len(inner) or int(self._holders.max()) < self.count)),
            (IMPACTS, len(self._impacts) == len(inner) and bool(np.all(self._impacts > 0))),
            (CEILINGS, len(self._ceilings) == len(self._stems)),
        )
        return [f"lexical/{name} does not hold postings in order, each of a chunk" for name, holds in facts if not holds]

    def _number(self, stem: str) -> int | None:
        key = np.uint64(stem_hash(stem))
        at = int(np.searchsorted(self._stems, key))
        return at if at < len(self._stems) and self._stems[at] == key else None

    def _postings(self, stem: int) -> tuple[npt.NDArray[np.uint32], Scores]:
        first, last = int(self._starts[stem]), int(self._starts[stem + 1])
        return self._holders[first:last], self._impacts[first:last]

    def _candidates(self, query: LexicalQuery, k: int, allowed: Allowed | None) -> Ids:
        """Return chunks among which the k best of those allowed are, in ascending order."""
        ceilings = self._ceilings[query.stems] * query.counts
        order = np.argsort(-ceilings, kind="stable")
        left = np.append(np.cumsum(ceilings[order][::-1])[::-1], 0.0)
        partial = np.zeros(self.count, np.float32)
        for step, at in enumerate(order):
            holders, impacts = self._postings(int(query.stems[at]))
            if step and len(holders) > SHORT_LIST:
                likely = _may_reach(partial, k, float(left[step]))
                if likely is not None:
                    return likely
            if allowed is not None:
                kept = allowed.mask[holders]
                holders, impacts = holders[kept], impacts[kept]
            partial[holders] += impacts * query.counts[at]
        likely = _may_reach(partial, k, 0.0)
        return np.flatnonzero(partial) if likely is None else likely


def _may_reach(partial: Scores, k: int, left: float) -> Ids | None:
    """Return the chunks that can be among the k best when ``left`` is the most that any can still gain.

    None where a chunk not seen yet still could.
    """
    seen = np.flatnonzero(partial)
    if len(seen) <= k:
        return None
    scores = partial[seen]
    worst = float(np.partition(scores, len(scores) - k)[len(scores) - k])
    # Sums in another order differ in their last digits.
    bar = worst * (1 - 1e-5)
    return seen[scores + left >= bar] if left < bar else None


def stem_hash(stem: str) -> int:
    """Return the 8-byte hash a stem is stored by."""
    return int.from_bytes(hashlib.blake2b(stem.encode("utf-8"), digest_size=8).digest(), "big")


def content_spans(text: str) -> list[Span]:
    """Return the ranges of the text's words that are no stop words."""
    return [Span(start, end) for start, end in content_ranges(text)]


def content_ranges(text: str) -> list[tuple[int, int]]:
    """Return the same ranges as plain pairs, as building an index needs them by the million."""
    return [m.span() for m in _WORD.finditer(text) if m.group().casefold().replace("’", "'") not in STOP_WORDS]


def words(text: str, stemmer: Stemmer.Stemmer) -> list[str]:
    """Return the stems of the text's words in order, stop words left out."""
    found = [word.replace("’", "'") for word in _WORD.findall(text.casefold())]
    stems: list[str] = stemmer.stemWords([word for word in found if word not in STOP_WORDS])
    return stems
