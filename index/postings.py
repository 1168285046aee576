"""Texts to BM25 postings on disk: counted shard by shard, then merged in two passes over the shards.

The first pass learns how many chunks hold each stem and how long chunks are; then every posting's place and score is known,
and the second writes it there. So the merge keeps one number for each stem in memory, and the postings only on disk.
Searching them is lexical.py's work.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import Stemmer

from index.lexical import CEILINGS, CHUNK_COUNT, HOLDERS, IMPACTS, K1, STARTS, STEMMER, STEMS, B, LexicalError, stem_hash, words

# Shards whose stems are joined at a time: joining each by itself would sort all stems for every shard.
TOGETHER = 64


@dataclass(frozen=True, slots=True)
class Postings:
    """The stems of some chunks, numbered from 0: each stem's hash, ascending; where its postings begin; chunks and counts.

    ``stems`` has shape (stems,), ``starts`` (stems + 1,), ``holders`` and ``counts`` (postings,), ``lengths`` (chunks,).
    """

    stems: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int64]
    holders: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.uint32]


def count_stems(texts: Sequence[str]) -> Postings:
    """Return the postings of the texts, one for each chunk."""
    stemmer = Stemmer.Stemmer(STEMMER)
    numbers: dict[str, int] = {}
    stems: list[int] = []
    holders: list[int] = []
    counts: list[int] = []
    lengths: list[int] = []
    for chunk, text in enumerate(texts):
        found = words(text, stemmer)
        lengths.append(len(found))
        own = Counter(found)
        stems += [numbers.setdefault(stem, len(numbers)) for stem in own]
        holders += [chunk] * len(own)
        counts += own.values()
    hashes = np.array([stem_hash(stem) for stem in numbers], np.uint64)
    by_hash = np.argsort(hashes)
    if len(hashes) > 1 and np.any(np.diff(hashes[by_hash]) == 0):
        raise LexicalError("two different words of the corpus share one 64-bit hash")
    place = np.empty(len(hashes), np.int64)
    place[by_hash] = np.arange(len(hashes))
    at = place[np.array(stems, np.int64)]
    order = np.lexsort((np.array(holders, np.int64), at))
    starts = np.searchsorted(at[order], np.arange(len(hashes) + 1))
    return Postings(
        hashes[by_hash],
        starts,
        np.array(holders, np.uint32)[order],
        np.array(counts, np.uint32)[order],
        np.array(lengths, np.uint32),
    )


class PostingsWriter:
    """Writes the lexical folder of all shards; ``survey`` them all in order, then ``write`` them all in the same order."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._stems = np.zeros(0, np.uint64)
        self._held = np.zeros(0, np.int64)
        self._lengths: list[npt.NDArray[np.uint32]] = []
        self._seen: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = []

    def survey(self, shard: Postings) -> None:
        """Take note of a shard's stems and the lengths of its chunks."""
        self._lengths.append(shard.lengths)
        self._seen.append((shard.stems, np.diff(shard.starts)))
        if len(self._seen) >= TOGETHER:
            self._join()

    def _join(self) -> None:
        """Add up the chunks that hold each stem over the shards surveyed since the last time."""
        stems = np.concatenate([self._stems, *(own for own, _ in self._seen)])
        counts = np.concatenate([self._held, *(own for _, own in self._seen)])
        self._stems, place = np.unique(stems, return_inverse=True)
        self._held = np.bincount(place, counts, len(self._stems)).astype(np.int64)
        self._seen = []

    def write(self, shards: Iterable[Postings]) -> None:
        """Write every shard's postings with their scores."""
        self._join()
        lengths = np.concatenate([*self._lengths, np.zeros(0, np.uint32)])
        starts = np.concatenate([[0], np.cumsum(self._held)])
        holders = _open(self._folder / HOLDERS, np.uint32, int(starts[-1]))
        impacts = _open(self._folder / IMPACTS, np.float32, int(starts[-1]))
        idf = np.log(1 + (len(lengths) - self._held + 0.5) / (self._held + 0.5))
        norms = K1 * (1 - B + B * lengths / max(float(lengths.mean()) if len(lengths) else 0.0, 1e-9))
        ceilings = np.zeros(len(self._stems), np.float32)
        cursor, base = starts[:-1].copy(), 0
        for shard in shards:
            own = np.searchsorted(self._stems, shard.stems)
            stem = np.repeat(np.arange(len(own)), np.diff(shard.starts))
            place = cursor[own][stem] + np.arange(len(stem)) - shard.starts[stem]
            holder = shard.holders.astype(np.int64) + base
            score = (idf[own][stem] * shard.counts / (norms[holder] + shard.counts)).astype(np.float32)
            holders[place], impacts[place] = holder, score
            np.maximum.at(ceilings, own[stem], score)
            cursor[own] += np.diff(shard.starts)
            base += len(shard.lengths)
        for name, values in ((STEMS, self._stems), (STARTS, starts.astype("<u8")), (CEILINGS, ceilings)):
            np.save(self._folder / name, values)
        np.save(self._folder / CHUNK_COUNT, np.uint64(len(lengths)))


def _open(path: Path, kind: type[np.generic], count: int) -> npt.NDArray[Any]:
    """Return a new .npy file's array; an empty file cannot be mapped and is written as it is."""
    if count == 0:
        np.save(path, np.zeros(0, kind))
        return np.zeros(0, kind)
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(count,))


def write_lexical(texts: Sequence[str], folder: Path) -> None:
    """Index the texts, one for each chunk in chunk order, and write the BM25 folder."""
    postings = count_stems(texts)
    writer = PostingsWriter(folder)
    writer.survey(postings)
    writer.write([postings])
