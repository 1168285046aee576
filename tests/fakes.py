"""An encoder made of arithmetic: a text's vector counts the words of a fixed vocabulary, so every score is exact.

A text's tokens are its words; the vector of a word is its own direction of the vocabulary, that of any other word zero.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from corpus.passage import Chunk, Passage, Span
from index.encoder import (
    EXPORT_VERSION,
    Encoder,
    EncoderSource,
    EncoderSpec,
    PassageInput,
    PassageVectors,
    QueryVectors,
    TokenVectors,
    Vectors,
    ignore_progress,
    unit_rows,
)
from index.lexical import LexicalQuery
from index.passages import PassageStore

VOCABULARY = ("hip", "back", "pain", "ice", "heat", "run", "sit", "disc", "nerve", "stretch")
SPEC = EncoderSpec(
    name="word-counts",
    revision="1",
    checksum=hashlib.sha256(" ".join(VOCABULARY).encode()).hexdigest(),
    config_checksum="",
    runtime="onnx",
    dim=len(VOCABULARY),
    max_tokens=64,
    special_tokens=2,
    pad_id=0,
    pooling="mean",
    normalize=True,
    similarity="cosine",
    query_prompt="",
    passage_prompt="",
    export_version=EXPORT_VERSION,
)


class WordEncoder:
    """Counts words, one component for each word of the vocabulary, scaled to length 1."""

    spec = SPEC

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return unit_rows(np.array([count(text) for text in texts], np.float32).reshape(-1, SPEC.dim))

    def encode_query(self, text: str) -> QueryVectors:
        return QueryVectors(self.encode_queries([text])[0], tokens_of(text))

    def encode_passages(
        self, inputs: Sequence[PassageInput], progress: Callable[[int], object] = ignore_progress
    ) -> PassageVectors:
        chunks = self.encode_queries([f"{item.context} {item.text}" for item in inputs])
        sentences = tuple(self.encode_queries([item.text[s.start : s.end] for s in item.sentences]) for item in inputs)
        progress(len(inputs))
        return PassageVectors(chunks, sentences, 0, tuple(tokens_of(item.whole) for item in inputs))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def count(text: str) -> list[int]:
    """Return how often each word of the vocabulary stands in the text."""
    words = re.findall(r"[a-z]+", text.lower())
    return [words.count(word) for word in VOCABULARY]


def tokens_of(text: str) -> TokenVectors:
    """Return one token for each word of the text: where it starts, and its component of the vocabulary set to 1."""
    found = [(match.start(), count(match.group())) for match in re.finditer(r"\w+", text)]
    starts = np.array([start for start, _ in found], np.int64)
    return TokenVectors(np.array([own for _, own in found], np.float32).reshape(-1, SPEC.dim), starts)


def write_spec(folder: Path) -> None:
    """Write the fake encoder's specification where a build wants an encoder."""
    folder.mkdir(parents=True)
    SPEC.save(folder)


def open_word_encoder(_: Path) -> Encoder:
    """Return the fake encoder; a function of a module, so that worker processes find it."""
    return WordEncoder()


put_word_encoder = EncoderSource("word-counts", write_spec, open_word_encoder)


REST = Passage("0" * 16, "d", "", "", "", "", "", "", "", "Rest.", "s", 0, 5)
NO_STEMS = LexicalQuery(np.zeros(0, np.int64), np.zeros(0, np.float32))


class Shelf(PassageStore):
    """A store without files: one document, and one passage of one chunk."""

    def __init__(self, document: int = 0, passage: Passage = REST) -> None:
        self._one = document
        self._held = passage

    def document(self, _: int) -> int:
        return self._one

    def passage_of(self, _: int) -> Passage:
        return self._held

    def chunk(self, _: int) -> Chunk:
        whole = Span(0, len(self._held.text))
        return Chunk(self._held, 0, whole.end, (whole,), whole)
