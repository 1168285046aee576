"""The third grain: late interaction between a question's words and the words of a chunk, one bit for each component.

A word's vector depends on its sentence, so "treatment" in a passage on sciatica is near "sciatica". A chunk's coverage is
the mean, over the question's content words and weighted by how rare each is in the corpus, of the word's best similarity
to any content word of the chunk (MaxSim: Khattab & Zaharia 2020, arXiv:2004.12832). Only the sign of each centred
component is kept: 48 bytes a token for 384 components, at no loss that the tuning sets show (docs/retrieval.md).
Encoding is encoder.py's business, and what coverage is used for is fusion.py's and qa's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.passage import Span
from index.encoder import PassageInput, TokenVectors, Vectors, unit_rows
from index.lexical import content_spans

TOKENS = "tokens"
BITS, MEAN, SENTENCE_TOKENS, CHUNK_TOKEN_STARTS = "bits.npy", "mean.npy", "sentence_starts.npy", "chunk_starts.npy"
# The cosine between a vector and the signs of one like it is sqrt(2 / pi) of the cosine of the two, for Gaussian components.
SIGN_SCALE = float(np.sqrt(np.pi / 2))

Bits = npt.NDArray[np.uint8]


class TokenError(Exception):
    """The token files cannot be read."""


@dataclass(frozen=True, slots=True)
class QueryWords:
    """A question's content words: where each stands, its weight (they add up to 1), and its tokens' unit vectors.

    ``vectors`` has shape (tokens, dim); token i belongs to word ``word_of[i]``.
    """

    spans: tuple[Span, ...]
    weights: Vectors
    vectors: Vectors
    word_of: npt.NDArray[np.int64]


class TokenArm:
    """The content tokens of every chunk, mapped from disk."""

    def __init__(self, folder: Path) -> None:
        try:
            self._bits = np.load(folder / BITS, mmap_mode="r")
            self._chunk_starts = np.load(folder / CHUNK_TOKEN_STARTS, mmap_mode="r")
            self._sentence_starts = np.load(folder / SENTENCE_TOKENS, mmap_mode="r")
            self._mean = np.load(folder / MEAN)
        except (OSError, EOFError, ValueError) as error:
            raise TokenError(f"{folder} cannot be read as token vectors: {error}") from error

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return len(self._chunk_starts) - 1

    @property
    def sentences(self) -> int:
        """The number of sentences over all chunks."""
        return len(self._sentence_starts)

    @property
    def tokens(self) -> int:
        """The number of content tokens over all chunks; 0 where the model gives no token vectors."""
        return len(self._bits)

    def read_query(self, text: str, tokens: TokenVectors, weigh: Callable[[str], float]) -> QueryWords:
        """Return the question's distinct content words; ``weigh`` gives their weights, which are scaled to add up to 1."""
        vectors = unit_rows(tokens.vectors - self._mean)
        distinct: dict[str, Span] = {}
        for span in content_spans(text):
            distinct.setdefault(text[span.start : span.end].casefold(), span)
        found = ((span, (tokens.starts >= span.start) & (tokens.starts < span.end)) for span in distinct.values())
        groups = [(span, np.flatnonzero(own)) for span, own in found if own.any()]
        if not groups:  # nothing but function words: the question is one word to us
            groups = [(Span(0, len(text)), np.arange(len(vectors)))]
        weights = np.array([max(weigh(text[span.start : span.end]), 1e-6) for span, _ in groups], np.float32)
        own = np.concatenate([own for _, own in groups])
        word_of = np.repeat(np.arange(len(groups)), [len(own) for _, own in groups])
        return QueryWords(tuple(span for span, _ in groups), weights / weights.sum(), vectors[own], word_of)

    def word_scores(self, query: QueryWords, chunk: int) -> Vectors:
        """Return each question word's best similarity to a chunk, heading included; shape (words,), about -1 to 1."""
        return _best(query, self._similarities(query, *self._range(chunk)))

    def sentence_word_scores(self, query: QueryWords, chunk: int, sentences: range) -> Vectors:
        """Return each question word's best similarity to each sentence of a chunk, shape (sentences, words)."""
        start, end = self._range(chunk)
        similarities = self._similarities(query, start, end)
        borders = [*(int(self._sentence_starts[s]) - start for s in sentences), end - start]
        rows = [_best(query, similarities[:, a:b]) for a, b in pairwise(borders)]
        return np.stack(rows) if rows else np.zeros((0, len(query.weights)), np.float32)

    def _range(self, chunk: int) -> tuple[int, int]:
        return int(self._chunk_starts[chunk]), int(self._chunk_starts[chunk + 1])

    def _similarities(self, query: QueryWords, start: int, end: int) -> Vectors:
        """Return the similarity of every query token to every token of a range, shape (query tokens, tokens)."""
        dim = query.vectors.shape[1]
        signs = np.unpackbits(self._bits[start:end], axis=1, count=dim).astype(np.float32)
        signs *= 2
        signs -= 1
        similarities: Vectors = (query.vectors @ signs.T) * np.float32(SIGN_SCALE / np.sqrt(dim))
        return similarities


def _best(query: QueryWords, similarities: Vectors) -> Vectors:
    """Return each word's best similarity: the mean over its tokens of their maximum; 0 where there is nothing to compare."""
    words = len(query.weights)
    if not similarities.shape[1] or not len(query.word_of):
        return np.zeros(words, np.float32)
    best = similarities.max(axis=1)
    sums = np.bincount(query.word_of, weights=best, minlength=words)
    return np.asarray(sums / np.bincount(query.word_of, minlength=words), np.float32)


class TokenWriter:
    """Gathers chunks' content tokens as they are encoded, and writes them."""

    def __init__(self) -> None:
        self._mean = np.zeros(0, np.float32)
        self._bits: list[Bits] = []
        self._chunk_starts = [0]
        self._sentence_starts: list[int] = []

    def add(self, inputs: Sequence[PassageInput], tokens: Sequence[TokenVectors]) -> None:
        """Take the tokens of some chunks in order; the first call's tokens give the mean that all are centred on."""
        if not len(self._mean):
            everything = np.concatenate([own.vectors for own in tokens])
            self._mean = everything.mean(axis=0) if len(everything) else np.zeros(everything.shape[1], np.float32)
        for item, own in zip(inputs, tokens, strict=True):
            self._add(item, own)

    def _add(self, item: PassageInput, tokens: TokenVectors) -> None:
        whole = item.whole
        prefix = len(whole) - len(item.text)
        kept = np.zeros(len(whole) + 1, bool)
        for span in content_spans(whole):
            kept[span.start : span.end] = True
        content = kept[tokens.starts]
        starts = tokens.starts[content]
        begun = self._chunk_starts[-1]
        self._bits.append(np.packbits(tokens.vectors[content] > self._mean, axis=1))
        # Tokens come in text order: those of the heading first, then sentence by sentence.
        borders = [s.start + prefix for s in item.sentences]
        self._sentence_starts.extend(begun + int(at) for at in np.searchsorted(starts, borders))
        self._chunk_starts.append(begun + len(starts))

    def write(self, folder: Path) -> None:
        """Write the token files."""
        folder.mkdir()
        np.save(folder / BITS, np.concatenate(self._bits))
        np.save(folder / CHUNK_TOKEN_STARTS, np.array(self._chunk_starts, "<u8"))
        np.save(folder / SENTENCE_TOKENS, np.array(self._sentence_starts, "<u8"))
        np.save(folder / MEAN, np.asarray(self._mean, np.float32))
