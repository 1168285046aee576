"""The third grain: late interaction between a question's words and the words of a chunk, one bit for each component.

A word's vector depends on its sentence, so "treatment" in a passage on sciatica is near "sciatica". A chunk's coverage is
the mean, over the question's content words and weighted by how rare each is in the corpus, of the word's best similarity
to any content word of the chunk (MaxSim: Khattab & Zaharia 2020, arXiv:2004.12832). Only the sign of each centred
component is kept: 48 bytes a token for 384 components, at no loss that the tuning sets show (docs/retrieval.md).
Encoding is encoder.py's business, and what coverage is used for is fusion.py's and qa's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.passage import Span
from index.encoder import PassageInput, TokenVectors, Vectors, unit_rows
from index.lexical import content_ranges, content_spans
from index.mapped import Rows, mapped
from index.sentence_vectors import Ids, greatest, numbers

TOKENS = "tokens"
BITS, MEAN, SENTENCE_TOKENS, CHUNK_TOKEN_STARTS = "bits.npy", "mean.npy", "sentence_starts.npy", "chunk_starts.npy"
TOKEN_FILES = (BITS, MEAN, SENTENCE_TOKENS, CHUNK_TOKEN_STARTS)
# The cosine between a vector and the signs of one like it is sqrt(2 / pi) of the cosine of the two, for Gaussian components.
SIGN_SCALE = float(np.sqrt(np.pi / 2))
# Tokens unpacked at a time: 256 of 384 components stay in the processor's cache, in half the time of all at once.
BLOCK = 256


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
            self._bits = Rows(folder / BITS)
            self._chunk_starts = mapped(folder / CHUNK_TOKEN_STARTS)
            self._sentence_starts = mapped(folder / SENTENCE_TOKENS)
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

    def damaged_tables(self) -> list[str]:
        """Return what is wrong with the tables; an empty list when chunks and sentences lead to all tokens in order."""
        chunks, sentences = self._chunk_starts.astype(np.int64), self._sentence_starts.astype(np.int64)
        facts = (
            (CHUNK_TOKEN_STARTS, int(chunks[0]) == 0 and int(chunks[-1]) == self.tokens and bool(np.all(np.diff(chunks) >= 0))),
            (SENTENCE_TOKENS, bool(np.all(np.diff(sentences) >= 0)) and bool(np.all(sentences <= self.tokens))),
        )
        return [f"tokens/{name} does not lead to every token in order" for name, holds in facts if not holds]

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

    def word_scores(self, query: QueryWords, chunks: Ids) -> Vectors:
        """Return each question word's best similarity to each chunk with its heading, shape (chunks, words), about -1 to 1."""
        firsts, lasts = self._chunk_starts[chunks].astype(np.int64), self._chunk_starts[chunks + 1].astype(np.int64)
        return self._best(query, firsts, lasts)

    def sentence_word_scores(self, query: QueryWords, chunks: Ids, sentences: Ids, counts: Ids) -> Vectors:
        """Return each question word's best similarity to each of the chunks' sentences, shape (sentences, words).

        ``sentences`` are the numbers of all sentences of the chunks, chunk by chunk; ``counts`` says how many each chunk has.
        """
        firsts = self._sentence_starts[sentences].astype(np.int64)
        # A sentence's tokens end where the next one's begin, those of a chunk's last one where the chunk's end.
        lasts = np.append(firsts[1:], 0)
        filled = counts > 0
        lasts[np.cumsum(counts)[filled] - 1] = self._chunk_starts[chunks[filled] + 1]
        return self._best(query, firsts, lasts)

    def _best(self, query: QueryWords, firsts: Ids, lasts: Ids) -> Vectors:
        """Return each word's best similarity in each range of tokens: the mean over the word's tokens of their maximum."""
        similarities = self._similarities(query, numbers(firsts, lasts))
        best = greatest(similarities, lasts - firsts)
        words = len(query.weights)
        sums = np.add.reduceat(best, np.flatnonzero(np.diff(query.word_of, prepend=-1)), axis=0)
        return np.asarray((sums / np.maximum(np.bincount(query.word_of, minlength=words), 1)[:, None]).T, np.float32)

    def _similarities(self, query: QueryWords, tokens: Ids) -> Vectors:
        """Return the similarity of every query token to every given token, shape (query tokens, tokens)."""
        dim = query.vectors.shape[1]
        held = self._bits.take(tokens)
        columns = np.ascontiguousarray(query.vectors.T)
        sums = np.empty((len(held), len(query.vectors)), np.float32)
        block = np.empty((BLOCK, dim), np.float32)
        for start in range(0, len(held), BLOCK):
            positive = np.unpackbits(held[start : start + BLOCK], axis=1, count=dim)
            block[: len(positive)] = positive
            np.matmul(block[: len(positive)], columns, out=sums[start : start + BLOCK])
        # A sign is 1 or -1: twice the sum over the positive components, less the sum over all.
        sums *= 2
        sums -= query.vectors.sum(axis=1)
        sums *= np.float32(SIGN_SCALE / np.sqrt(dim))
        return sums.T


@dataclass(frozen=True, slots=True)
class ContentBits:
    """The content tokens of some chunks in order: their bits, how many each chunk has, and where each sentence's begin."""

    bits: npt.NDArray[np.uint8]
    chunk_tokens: npt.NDArray[np.uint32]
    sentence_starts: npt.NDArray[np.uint64]


def content_bits(inputs: Sequence[PassageInput], tokens: Sequence[TokenVectors], mean: Vectors) -> ContentBits:
    """Return the content tokens of chunks as the signs of their vectors less the mean, which has shape (dim,)."""
    bits = [np.zeros((0, (len(mean) + 7) // 8), np.uint8)]
    counts: list[int] = []
    sentence_starts: list[int] = []
    begun = 0
    for item, own in zip(inputs, tokens, strict=True):
        content = _is_content(item.whole, own.starts)
        starts = own.starts[content]
        bits.append(np.packbits(own.vectors[content] > mean, axis=1))
        counts.append(len(starts))
        # Tokens come in text order: those of the heading first, then sentence by sentence.
        prefix = len(item.whole) - len(item.text)
        borders = [s.start + prefix for s in item.sentences]
        sentence_starts.extend(begun + int(at) for at in np.searchsorted(starts, borders))
        begun += len(starts)
    return ContentBits(np.concatenate(bits), np.array(counts, "<u4"), np.array(sentence_starts, "<u8"))


def _is_content(text: str, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    kept = bytearray(len(text) + 1)
    for start, end in content_ranges(text):
        kept[start:end] = b"\1" * (end - start)
    return np.frombuffer(kept, bool)[starts]


def mean_token(tokens: Sequence[TokenVectors], dim: int) -> Vectors:
    """Return the mean of all token vectors, shape (dim,); zeros where there are none."""
    everything = np.concatenate([np.zeros((0, dim), np.float32), *(own.vectors for own in tokens)])
    return np.asarray(everything.mean(axis=0) if len(everything) else np.zeros(dim), np.float32)
