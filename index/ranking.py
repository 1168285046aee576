"""What a search gives: the query as it was searched for, the hits, and a chunk's sentences with their scores.

How they come about is local.py's business, what a good answer of them is qa's.
"""

from dataclasses import dataclass, field

import numpy as np

from corpus.passage import Chunk, Passage, Span
from index.encoder import Vectors
from index.lexical import LexicalQuery
from index.passages import PassageStore
from index.tokens import QueryWords

# Hits too far down to answer: they show how similar to the question anything in the corpus is.
BACKGROUND = range(40, 60)
NO_SCORES = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the arms take it: vector, text, BM25 stems, and content words, None where words are not scored."""

    vector: Vectors
    text: str
    lexical: LexicalQuery
    words: QueryWords | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found for a question, and how: both arms' ranks (None where an arm did not put it forward) and scores.

    ``number`` is the chunk's; ``score`` is the fused score, 0 to 1, relative to the other candidates of the same question
    (fusion.py); ``similarity`` is the chunk vector's and ``sentence`` the best sentence vector's inner product with the
    question (cosine, unless the model compares by dot product); ``lexical`` is the BM25 score; ``word_scores`` says how
    well the chunk covers each content word of the question (tokens.py), empty where that was not scored.
    """

    number: int
    score: float
    dense_rank: int | None
    lexical_rank: int | None
    similarity: float
    sentence: float
    lexical: float
    word_scores: tuple[float, ...]
    store: PassageStore = field(repr=False, compare=False)

    @property
    def chunk(self) -> Chunk:
        """The chunk with its passage, read when it is asked for."""
        return self.store.chunk(self.number)

    @property
    def passage(self) -> Passage:
        """The passage the chunk is part of, read when it is asked for."""
        return self.store.passage_of(self.number)

    @property
    def document(self) -> int:
        """The number of the document the chunk is part of."""
        return self.store.document(self.number)


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search gave: the query as it was searched for, and the hits, best first.

    ``everywhere`` holds what the same search gives without filters, where it had any: what is usual for a question is asked
    of the whole corpus, as its calibration was.
    """

    query: Query
    hits: tuple[Hit, ...]
    everywhere: tuple[Hit, ...] | None = None

    @property
    def unfiltered(self) -> tuple[Hit, ...]:
        """The hits without filters, best first."""
        return self.hits if self.everywhere is None else self.everywhere

    @property
    def nearest(self) -> float:
        """The greatest similarity of any hit, 0 without hits."""
        return max((hit.similarity for hit in self.hits), default=0.0)

    @property
    def nearest_anywhere(self) -> float:
        """The greatest similarity of any unfiltered hit, 0 without hits."""
        return max((hit.similarity for hit in self.unfiltered), default=0.0)

    @property
    def background(self) -> float:
        """The mean similarity of the unfiltered hits from BACKGROUND on, or of the last half of fewer: what any hit reaches."""
        hits = self.unfiltered
        part = hits[BACKGROUND.start : BACKGROUND.stop] or hits[len(hits) // 2 :]
        return sum(hit.similarity for hit in part) / len(part) if part else 0.0

    def without(self, document: int) -> "Ranking":
        """Return what was found outside the document of the given number."""
        return Ranking(self.query, tuple(hit for hit in self.hits if hit.document != document))


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage with its scores for a question: the vector's similarity, and each word's, shape (words,)."""

    span: Span
    similarity: float
    word_scores: Vectors
