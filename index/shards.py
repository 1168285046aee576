"""A run of passages to a shard: one file with their chunks, vectors, token bits, postings and words.

A shard's name is a digest of everything it is made from, so one that an interrupted build finished is found again by the
next, and a shard of other text, settings or weights is not. Its file appears whole or not at all. Joining shards to a
generation is merge.py's work.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.chunk import chunk_passage
from corpus.passage import Chunk, Passage, Span
from index.encoder import Encoder, PassageInput, Vectors, comparable
from index.passages import PASSAGES, chunk_rows, indexed_text, parse_passage
from index.postings import Postings, count_stems
from index.sentence_vectors import quantise
from index.tokens import content_bits
from index.vocabulary import words_of

# Tokens of a chunk, heading and special tokens included, where the model reads that many (docs/retrieval.md).
CHUNK_TOKENS = 128
# Tokens a heading may take of a chunk's budget; a longer one is cut for the encoder, never in a citation.
CONTEXT_TOKENS = 48
# Bytes of passage lines in a shard: large corpora get shards of about 500 chunks, small ones enough shards for every core.
LARGEST, SMALLEST, SHARDS = 384 * 1024, 24 * 1024, 64
# Raised whenever a shard of the same text and weights would hold something else.
SHARD_VERSION = 1


@dataclass(frozen=True, slots=True)
class ShardTask:
    """What a worker needs to make a shard: where the passages' lines are, which of them, the tokens' mean, and the target."""

    passages: Path
    begin: int
    end: int
    mean: Path
    target: Path


def plan_shards(offsets: npt.NDArray[np.uint64]) -> list[range]:
    """Return which passages each shard holds, given where each passage's line begins and the last ends."""
    size = min(LARGEST, max(SMALLEST, int(offsets[-1]) // SHARDS))
    found, first = [], 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, int(offsets[first]) + size, "right")) - 1
        last = max(first + 1, last)
        found.append(range(first, last))
        first = last
    return found


def shard_name(lines: bytes, identity: str, mean: Vectors) -> str:
    """Return the name of the shard of some passage lines, encoded by the encoder of the given identity."""
    settings = f"{SHARD_VERSION} {CHUNK_TOKENS} {CONTEXT_TOKENS} {identity}"
    digest = hashlib.blake2b(digest_size=20)
    for part in (settings.encode(), mean.tobytes(), lines):
        digest.update(hashlib.blake2b(part).digest())
    return f"{digest.hexdigest()}.npz"


def read_lines(folder: Path, begin: int, end: int) -> bytes:
    """Return a range of bytes of the passage file in a folder."""
    with (folder / PASSAGES).open("rb") as stream:
        stream.seek(begin)
        return stream.read(end - begin)


def make_shard(encoder: Encoder, task: ShardTask) -> None:
    """Cut, encode and count the passages of a task, and write the shard."""
    lines = read_lines(task.passages, task.begin, task.end).splitlines()
    arrays = shard_arrays([parse_passage(line) for line in lines], encoder, np.load(task.mean))
    temporary = task.target.with_name(f".{task.target.name}-{os.getpid()}")
    with temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(task.target)


def shard_arrays(passages: Sequence[Passage], encoder: Encoder, mean: Vectors) -> dict[str, npt.NDArray[Any]]:
    """Return everything a shard holds, by name; passages, chunks, sentences and tokens are counted from 0."""
    chunks = [chunk_all(passage, encoder) for passage in passages]
    flat = [chunk for own in chunks for chunk in own]
    rows, sentences = chunk_rows(chunks)
    inputs = chunk_inputs(flat, encoder)
    encoded = encoder.encode_passages(inputs)
    codes, scales = quantise(comparable(np.concatenate(encoded.sentences), encoder.spec))
    tokens = content_bits(inputs, encoded.tokens, mean)
    texts = [indexed_text(chunk) for chunk in flat]
    postings = count_stems(texts)
    words = Counter(word for text in texts for word in words_of(text))
    return {
        "chunks": rows,
        "sentences": sentences,
        "vectors": comparable(encoded.chunks, encoder.spec),
        "codes": codes,
        "scales": scales,
        "bits": tokens.bits,
        "chunk_tokens": tokens.chunk_tokens,
        "sentence_tokens": tokens.sentence_starts,
        **{f"postings_{name}": getattr(postings, name) for name in Postings.__slots__},
        "words": np.frombuffer("\n".join(words).encode("utf-8"), np.uint8),
        "word_counts": np.array(list(words.values()), np.uint32),
        "truncated": np.array(encoded.truncated),
    }


def chunk_all(passage: Passage, encoder: Encoder) -> tuple[Chunk, ...]:
    """Cut a passage into chunks that, with its heading, fit the encoder."""
    spec = encoder.spec
    room = min(CHUNK_TOKENS, spec.max_tokens) - spec.special_tokens
    prefix = spec.passage_prompt + fit_context(passage.context, encoder)
    used = encoder.count_tokens([prefix])[0] if prefix else 0
    # Counting sentence by sentence can differ from counting the whole by a token at a border.
    return chunk_passage(passage, encoder.count_tokens, budget=max(8, room - used - 2))


def fit_context(context: str, encoder: Encoder) -> str:
    """Return the context cut after a word to at most CONTEXT_TOKENS tokens."""
    while context and encoder.count_tokens([context])[0] > CONTEXT_TOKENS:
        context = context.rpartition(" ")[0]
    return context


def chunk_inputs(chunks: Sequence[Chunk], encoder: Encoder) -> list[PassageInput]:
    """Return the chunks as the encoder takes them, sentence ranges counted from the chunk's start."""
    contexts: dict[str, str] = {}
    inputs = []
    for chunk in chunks:
        context = chunk.passage.context
        if context not in contexts:
            contexts[context] = fit_context(context, encoder)
        spans = tuple(Span(s.start - chunk.start, s.end - chunk.start) for s in chunk.sentences)
        inputs.append(PassageInput(contexts[context], chunk.text, spans))
    return inputs
