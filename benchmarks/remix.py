"""A corpus of any size from real text: sentences of real answers, mixed anew, with their real token vectors.

    python -m benchmarks.remix pool ../shared/eval/medquad --out build/remix        # encode the answers once
    python -m benchmarks.remix write build/remix --passages 100000 --out build/remix/100000.jsonl

A remixed passage is two to four sentences of one answer and one or two of an answer near it, cut to about one chunk; its
title is the first answer's subject. The vectors are real token vectors re-mixed: every sentence and title was encoded once,
in its own answer, and ``RemixEncoder`` copies those vectors wherever the sentence comes up again. So a sentence does not
feel its new neighbours, special tokens are left out, and passages that share a sentence are nearer each other than in a
corpus of as many real ones. Questions are encoded by the real model.
"""

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.remix_pool import NEIGHBOURS, Pool, make_pool
from corpus.sentences import split_sentences
from index.encoder import (
    Encoder,
    EncoderSpec,
    PassageInput,
    PassageVectors,
    QueryVectors,
    TokenVectors,
    Vectors,
    ignore_progress,
    open_encoder,
    unit_rows,
)
from index.models import DEFAULT_MODEL, encoder_source

# Tokens of a passage, title included: what a chunk of 128 holds beside special tokens and a margin.
PASSAGE_TOKENS = 122
# Passages drawn at a time; part of what a seed means.
BLOCK = 4096
FIRST = (2, 4)
OTHER = (1, 2)

Ids = npt.NDArray[np.int64]


class RemixError(Exception):
    """A text was handed in whose sentences or title are not of the pool."""


@dataclass(frozen=True, slots=True)
class Recipes:
    """What passages are made of: ``topics`` of shape (n,), ``sentences`` of shape (n, 6), -1 where there is none."""

    topics: Ids
    sentences: Ids


def recipes(pool: Pool, count: int, seed: int) -> Iterator[Recipes]:
    """Yield what the first ``count`` passages of a seed are made of, in blocks; no two are made of the same."""
    seen: set[int] = set()
    for block in itertools.count():
        mixed = _block(pool, block, seed)
        keys = [hash((topic, *row)) for topic, row in zip(mixed.topics.tolist(), mixed.sentences.tolist(), strict=True)]
        first = {key: at for at, key in reversed(list(enumerate(keys))) if key not in seen}
        kept = sorted(first.values())[: count - len(seen)]
        seen.update(keys[at] for at in kept)
        yield Recipes(mixed.topics[kept], mixed.sentences[kept])
        if len(seen) >= count:
            return


def _block(pool: Pool, block: int, seed: int) -> Recipes:
    table = pool.sentences_of
    lengths = np.append(pool.lengths, 0)
    rng = np.random.default_rng([seed, block])
    topics = rng.integers(len(table), size=BLOCK)
    others = pool.neighbours[topics, rng.integers(NEIGHBOURS, size=BLOCK)]
    first = _draw(rng, table[topics], FIRST)
    drawn = np.concatenate([first, _draw(rng, table[others], OTHER)], axis=1)
    drawn = np.take_along_axis(drawn, np.argsort(drawn < 0, axis=1, kind="stable"), axis=1)
    room = PASSAGE_TOKENS - pool.title_lengths[topics]
    drawn[:, 1:][np.cumsum(lengths[drawn], axis=1)[:, 1:] > room[:, None]] = -1
    return Recipes(topics, drawn)


def _draw(rng: np.random.Generator, rows: Ids, bounds: tuple[int, int]) -> Ids:
    """Draw some of each row's sentences, in their order, shape (rows, bounds[1])."""
    keys = np.where(rows >= 0, rng.random(rows.shape), 2.0)
    chosen = np.argsort(keys, axis=1)[:, : bounds[1]]
    wanted = rng.integers(bounds[0], bounds[1] + 1, size=len(rows))
    found = np.where(np.arange(bounds[1]) < wanted[:, None], np.take_along_axis(rows, chosen, axis=1), -1)
    order = np.argsort(np.where(found < 0, np.iinfo(np.int64).max, found), axis=1)
    return np.take_along_axis(found, order, axis=1)


def passages(pool: Pool, count: int, seed: int) -> Iterator[dict[str, str]]:
    """Yield ``count`` records that the .jsonl reader takes, one for each passage."""
    numbers = itertools.count()
    for mixed in recipes(pool, count, seed):
        for topic, row in zip(mixed.topics.tolist(), mixed.sentences.tolist(), strict=True):
            number = next(numbers)
            yield {
                "id": f"remix-{seed}-{number:07d}",
                "title": pool.title(topic),
                "text": _joined([pool.texts[i] for i in row if i >= 0]),
                "url": f"https://example.org/remix/{seed}/{number}",
                "publisher": "Remixed MedQuAD",
            }


def _joined(sentences: Sequence[str]) -> str:
    """Return the sentences as one paragraph, or one a line where a paragraph would be read as other sentences."""
    text = " ".join(sentences)
    return text if [text[s.start : s.end] for s in split_sentences(text)] == list(sentences) else "\n".join(sentences)


def write_passages(pool: Pool, path: Path, count: int, *, seed: int = 1) -> None:
    """Write ``count`` passages as JSON lines."""
    with path.open("w", encoding="utf-8") as stream:
        for record in passages(pool, count, seed):
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def chunk_vectors(pool: Pool, count: int, *, seed: int = 1) -> Iterator[Vectors]:
    """Yield the passages' chunk vectors in blocks: what ``RemixEncoder`` gives for their texts, without the texts."""
    sums = np.concatenate([pool.sums, np.zeros((1, pool.sums.shape[1]), np.float32)])
    for mixed in recipes(pool, count, seed):
        total = sums[pool.title_text(mixed.topics)].copy()
        for column in mixed.sentences.T:
            total += sums[column]
        yield unit_rows(total)


class RemixEncoder:
    """The real model for questions; for remixed passages, the pool's token vectors of their sentences and titles.

    A folder's pool is mapped, so that several processes may open it at little cost each.
    """

    def __init__(self, folder: Path, queries: Encoder) -> None:
        self._pool = Pool.open(folder)
        self._queries = queries
        self._by_digest = {digest(text): i for i, text in enumerate(self._pool.texts)}

    @classmethod
    def open(cls, folder: Path) -> "RemixEncoder":
        """Open a pool's folder with the encoder that lies in it."""
        return cls(folder, open_encoder(folder / "encoder", "int8"))

    @property
    def spec(self) -> EncoderSpec:
        """What the real model is."""
        return self._queries.spec

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return the real model's vectors of questions."""
        return self._queries.encode_queries(texts)

    def encode_query(self, text: str) -> QueryVectors:
        """Return the real model's vectors of one question."""
        return self._queries.encode_query(text)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the real tokenizer's counts."""
        return self._queries.count_tokens(texts)

    def encode_passages(
        self, inputs: Sequence[PassageInput], progress: Callable[[int], object] = ignore_progress
    ) -> PassageVectors:
        """Return the re-mixed vectors of remixed passages, or raise RemixError for any other text."""
        chunks = np.zeros((len(inputs), self.spec.dim), np.float32)
        sentences, tokens = [], []
        for row, item in enumerate(inputs):
            ids = [self._find(item.text[s.start : s.end]) for s in item.sentences]
            title = [self._find(item.context)] if item.context else []
            sums = self._pool.sums[title + ids]
            chunks[row] = sums.sum(axis=0)
            sentences.append(unit_rows(sums[len(title) :]))
            prefix = len(item.whole) - len(item.text)
            tokens.append(self._tokens(title + ids, [0] * len(title) + [prefix + s.start for s in item.sentences]))
        progress(len(inputs))
        return PassageVectors(unit_rows(chunks), tuple(sentences), 0, tuple(tokens))

    def _find(self, text: str) -> int:
        found = self._by_digest.get(digest(text))
        if found is None:
            raise RemixError(f"{text[:80]!r} is neither a sentence nor a title of the pool")
        return found

    def _tokens(self, texts: Sequence[int], at: Sequence[int]) -> TokenVectors:
        borders = self._pool.borders
        parts = [slice(int(borders[i]), int(borders[i + 1])) for i in texts]
        starts = [self._pool.starts[part] + start for part, start in zip(parts, at, strict=True)]
        vectors = np.concatenate([self._pool.vectors[part] for part in parts]).astype(np.float32)
        return TokenVectors(vectors, np.concatenate(starts).astype(np.int64))


def digest(text: str) -> bytes:
    """Return 16 bytes that stand for a text."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def main(arguments: Sequence[str]) -> int:
    """Make a pool, or write passages of one."""
    parser = argparse.ArgumentParser(prog="benchmarks.remix", description="A corpus of any size from real sentences.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("pool", help="encode the sentences of some answers")
    making.add_argument("source", type=Path, help="a data set folder with corpus.jsonl, queries.jsonl and qrels/")
    making.add_argument("--answers", type=int, default=5000)
    writing = commands.add_parser("write", help="write passages of a pool as JSON lines")
    writing.add_argument("pool", type=Path)
    writing.add_argument("--passages", type=int, required=True)
    writing.add_argument("--seed", type=int, default=1)
    for command in (making, writing):
        command.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.command == "pool":
        model = encoder_source(DEFAULT_MODEL, *Path("build").glob("eval/*"), Path("build/starter"))
        make_pool(options.source, options.out, model, answers=options.answers)
    else:
        write_passages(Pool.open(options.pool), options.out, options.passages, seed=options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
