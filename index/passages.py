"""Passages, chunks and sentences on disk: one JSON line a passage, and arrays of offsets that are mapped, not loaded.

A chunk is found by number, a passage by number or id; only the passages an answer needs are ever parsed.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.passage import Chunk, Passage, Reference, Span, passage_id

PASSAGES = "passages.jsonl"
OFFSETS = "passages.npy"
IDS = "passage_ids.npy"
CHUNKS = "chunks.npy"
SENTENCES = "sentences.npy"
# Passages kept parsed: hits on one long page are many, and parsing it anew for each took 1 ms a hit.
PARSED_PASSAGES = 256
_CHUNK = np.dtype([(name, "<u4") for name in ("passage", "start", "end", "quote_start", "quote_end", "sentence")])


class PassageStore:
    """The passages and chunks of one generation, read as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._file = np.memmap(folder / PASSAGES, np.uint8, "r")
        self._offsets = np.load(folder / OFFSETS, mmap_mode="r")
        self._ids = np.load(folder / IDS, mmap_mode="r")
        self._chunks = np.load(folder / CHUNKS, mmap_mode="r")
        self._sentences = np.load(folder / SENTENCES, mmap_mode="r")
        self._passage = lru_cache(PARSED_PASSAGES)(self._parse)

    @property
    def passages(self) -> int:
        """The number of passages."""
        return len(self._offsets) - 1

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return len(self._chunks) - 1

    @property
    def sentences(self) -> int:
        """The number of sentences over all chunks."""
        return len(self._sentences)

    def passage(self, number: int) -> Passage:
        """Return the passage of the given number."""
        return self._passage(number)

    def _parse(self, number: int) -> Passage:
        line = bytes(self._file[int(self._offsets[number]) : int(self._offsets[number + 1])])
        record = json.loads(line)
        record["references"] = tuple(Reference(**item) for item in record["references"])
        return Passage(**record)

    def number(self, passage_id: str) -> int | None:
        """Return the number of the passage with the given id, or None."""
        try:
            key = np.bytes_(passage_id.encode("ascii"))
        except UnicodeEncodeError:
            return None
        at = int(np.searchsorted(self._ids["id"], key))
        if at < len(self._ids) and self._ids["id"][at] == key:
            return int(self._ids["number"][at])
        return None

    def sentence_range(self, chunk: int) -> range:
        """Return the numbers of a chunk's sentences, which are also the rows of their vectors."""
        return range(int(self._chunks[chunk]["sentence"]), int(self._chunks[chunk + 1]["sentence"]))

    def sentence_ranges(self, chunks: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the first sentence number of each chunk, and one past its last."""
        column = self._chunks["sentence"]
        return column[chunks].astype(np.int64), column[chunks + 1].astype(np.int64)

    def owner(self, chunk: int) -> int:
        """Return the number of a chunk's passage."""
        return int(self._chunks[chunk]["passage"])

    def sibling_range(self, chunk: int) -> range:
        """Return the numbers of the chunks of a chunk's passage."""
        column = self._chunks["passage"][:-1]
        passage = column[chunk]
        return range(int(np.searchsorted(column, passage, "left")), int(np.searchsorted(column, passage, "right")))

    def chunk(self, number: int) -> Chunk:
        """Return the chunk of the given number, with its passage."""
        row = self._chunks[number]
        spans = self._sentences[self.sentence_range(number).start : self.sentence_range(number).stop]
        sentences = tuple(Span(int(start), int(end)) for start, end in spans)
        quote = Span(int(row["quote_start"]), int(row["quote_end"]))
        return Chunk(self.passage(int(row["passage"])), int(row["start"]), int(row["end"]), sentences, quote)


def corpus_digest(passage_ids: Iterable[str]) -> str:
    """Return the SHA-256 of the passages' ids in order: equal for equal corpora, whatever they were encoded with."""
    return hashlib.sha256("\n".join(passage_ids).encode("ascii")).hexdigest()


def write_passages(passages: Sequence[Passage], chunks: Iterable[Sequence[Chunk]], folder: Path) -> None:
    """Write passages and, in the same order, the chunks of each."""
    _write_lines(passages, folder)
    rows: list[tuple[int, ...]] = []
    spans: list[tuple[int, int]] = []
    for number, own in enumerate(chunks):
        for chunk in own:
            rows.append((number, chunk.start, chunk.end, chunk.quote.start, chunk.quote.end, len(spans)))
            spans.extend((s.start, s.end) for s in chunk.sentences)
    rows.append((len(passages), 0, 0, 0, 0, len(spans)))
    np.save(folder / CHUNKS, np.array(rows, _CHUNK))
    np.save(folder / SENTENCES, np.array(spans, "<u4").reshape(-1, 2))


def _write_lines(passages: Sequence[Passage], folder: Path) -> None:
    offsets = [0]
    with (folder / PASSAGES).open("wb") as stream:
        for passage in passages:
            line = json.dumps(asdict(passage), ensure_ascii=False).encode("utf-8") + b"\n"
            stream.write(line)
            offsets.append(offsets[-1] + len(line))
    np.save(folder / OFFSETS, np.array(offsets, "<u8"))
    ids = sorted((passage.id.encode("ascii"), number) for number, passage in enumerate(passages))
    np.save(folder / IDS, np.array(ids, [("id", "S16"), ("number", "<u4")]))


def check_passages(folder: Path) -> list[str]:
    """Return what is wrong with the passages and offsets of a generation; an empty list when every quote holds.

    A passage's id depends on where it stands and on every character of its text, so an id that can be made again proves the
    text; chunks that follow one another without leaving out a character prove that every quote is a slice of it.
    """
    store = PassageStore(folder)
    found = []
    for number in range(store.passages):
        passage = store.passage(number)
        if store.number(passage.id) != number:
            found.append(f"passage {passage.id} is not found by its id")
        if passage.id != passage_id(passage.source, passage.document, passage.title, passage.heading, passage.text):
            found.append(f"passage {passage.id} does not say what its id was made of: its text or its source was changed")
    end, previous = 0, -1
    for number in range(store.chunks):
        chunk = store.chunk(number)
        owner = store.owner(number)
        if owner != previous:
            found += _left_out(store, previous, end)
            end, previous = 0, owner
        found += _chunk_faults(number, chunk, end)
        end = chunk.end
    return found + _left_out(store, previous, end)


def _chunk_faults(number: int, chunk: Chunk, end: int) -> list[str]:
    """Return what is wrong with a chunk's ranges; ``end`` is where the chunk before it in its passage ends."""
    text, where = chunk.passage.text, f"chunk {number} of passage {chunk.passage.id}"
    if not 0 <= chunk.quote.start <= chunk.start < chunk.end <= chunk.quote.end <= len(text):
        return [f"{where} has offsets outside its text"]
    if text[end : chunk.start].strip() or chunk.start < end:
        return [f"{where} does not follow the chunk before it"]
    if any(not chunk.start <= s.start < s.end <= chunk.end for s in chunk.sentences):
        return [f"{where} has a sentence outside it"]
    if chunk.text != chunk.text.strip():
        return [f"{where} does not start and end on a sentence border"]
    at = chunk.start
    for sentence in chunk.sentences:
        if sentence.start < at or text[at : sentence.start].strip():
            return [f"{where} has sentences that overlap or leave out text"]
        at = sentence.end
    return [f"{where} has sentences that leave out its end"] if text[at : chunk.end].strip() else []


def _left_out(store: PassageStore, passage: int, end: int) -> list[str]:
    """Return that a passage's text goes on after its last chunk, where it does."""
    if passage < 0 or not store.passage(passage).text[end:].strip():
        return []
    return [f"passage {store.passage(passage).id} has text after its last chunk"]
