"""Passages, chunks and sentences on disk: one JSON line a passage, and arrays of offsets that are mapped, not loaded.

A chunk is found by number, a passage by number or id; only the passages an answer needs are ever parsed.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from corpus.passage import Chunk, Passage, Reference, Span, passage_id, trimmed
from index.facets import FacetWriter
from index.mapped import mapped

PASSAGES = "passages.jsonl"
OFFSETS = "passages.npy"
IDS = "passage_ids.npy"
DOCUMENTS = "documents.npy"
CHUNKS = "chunks.npy"
SENTENCES = "sentences.npy"
# Passages kept parsed: hits on one long page are many, and parsing it anew for each took 1 ms a hit.
PARSED_PASSAGES = 256
_FIELD_TYPES: dict[str, type] = {"start": int, "end": int, "references": tuple}
CHUNK_ROW = np.dtype([(name, "<u4") for name in ("passage", "start", "end", "quote_start", "quote_end", "sentence")])


class PassageStore:
    """The passages and chunks of one generation, read as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._file = np.memmap(folder / PASSAGES, np.uint8, "r")
        self._offsets = mapped(folder / OFFSETS)
        self._ids = mapped(folder / IDS)
        self._documents = mapped(folder / DOCUMENTS)
        self._chunks = mapped(folder / CHUNKS)
        self._sentences = mapped(folder / SENTENCES)
        self._passage = lru_cache(PARSED_PASSAGES)(self._parse)

    def damaged_tables(self) -> list[str]:
        """Return which of the tables cannot be followed; an empty list when every number in them leads somewhere."""
        lines, passage, sentence = self._offsets, self._chunks["passage"], self._chunks["sentence"]
        ends = len(lines) > 1 and int(lines[0]) == 0 and int(lines[-1]) == len(self._file)
        newlines = np.flatnonzero(self._file == ord("\n")) + 1
        firsts = np.searchsorted(passage, np.arange(self.passages + 1))
        facts = (
            (OFFSETS, ends and np.array_equal(lines[1:], newlines)),
            (IDS, bool(np.all(self._ids["id"][:-1] < self._ids["id"][1:])) and len(self._ids) == self.passages),
            (CHUNKS, bool(np.all(np.diff(firsts) > 0)) and bool(np.all(passage[:-1] <= passage[1:]))),
            (CHUNKS, int(passage[-1]) == self.passages and bool(np.all(passage[:-1] < self.passages))),
            (DOCUMENTS, len(self._documents) == self.passages),
            (SENTENCES, bool(np.all(sentence[:-1] < sentence[1:])) and int(sentence[-1]) == len(self._sentences)),
        )
        return [
            f"{name} does not lead to each passage, chunk and sentence once, in order" for name, holds in facts if not holds
        ]

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
        return parse_passage(bytes(self._file[int(self._offsets[number]) : int(self._offsets[number + 1])]))

    def passage_of(self, chunk: int) -> Passage:
        """Return the passage that a chunk is part of."""
        return self.passage(int(self._chunks["passage"][chunk]))

    def document(self, chunk: int) -> int:
        """Return the number of the document that a chunk's passage is part of; documents are numbered as they first appear."""
        return self.document_of(int(self._chunks["passage"][chunk]))

    def document_of(self, passage: int) -> int:
        """Return the number of the document that a passage is part of."""
        return int(self._documents[passage])

    def checked_passage(self, number: int) -> Passage:
        """Return the passage of the given number, or raise ValueError, TypeError or KeyError where its line holds none."""
        passage = self.passage(number)
        for name, value in (*asdict(passage).items(), *(pair for work in passage.references for pair in asdict(work).items())):
            if not isinstance(value, _FIELD_TYPES.get(name, str)):
                raise TypeError(f"its {name} is a {type(value).__name__}")
        return passage

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

    def sentence_ranges(self, chunks: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the first sentence number of each chunk, and one past its last."""
        column = self._chunks["sentence"]
        return column[chunks].astype(np.int64), column[chunks + 1].astype(np.int64)

    @property
    def passage_numbers(self) -> npt.NDArray[np.uint32]:
        """The number of each chunk's passage, shape (chunks,)."""
        numbers: npt.NDArray[np.uint32] = self._chunks["passage"][:-1]
        return numbers

    def sibling_range(self, chunk: int) -> range:
        """Return the numbers of the chunks of a chunk's passage."""
        return self.chunks_of(int(self._chunks[chunk]["passage"]))

    def chunks_of(self, passage: int) -> range:
        """Return the numbers of a passage's chunks."""
        column = self._chunks["passage"][:-1]
        key = column.dtype.type(passage)
        return range(int(np.searchsorted(column, key, "left")), int(np.searchsorted(column, key, "right")))

    def chunk(self, number: int) -> Chunk:
        """Return the chunk of the given number, with its passage."""
        passage, start, end, quote_start, quote_end, first = self._chunks[number].item()
        spans = self._sentences[first : self._chunks[number + 1]["sentence"]].tolist()
        sentences = tuple(Span(a, b) for a, b in spans)
        return Chunk(self.passage(passage), start, end, sentences, Span(quote_start, quote_end))


def corpus_digest(passage_ids: Iterable[str]) -> str:
    """Return the SHA-256 of the passages' ids in order: equal for equal corpora, whatever they were encoded with."""
    return hashlib.sha256("\n".join(passage_ids).encode("ascii")).hexdigest()


def indexed_text(chunk: Chunk) -> str:
    """Return what a chunk is found by: its passage's title and heading, and its text."""
    return f"{chunk.passage.context}\n{chunk.text}"


def parse_passage(line: bytes) -> Passage:
    """Return the passage of a line of the passage file."""
    record = orjson.loads(line)
    record["references"] = tuple(Reference(**item) for item in record["references"])
    return Passage(**record)


class PassageWriter:
    """Writes passages as they come: their lines, where each begins, which document each is of, facets, and where to find an id.

    Of each passage it keeps 36 bytes, and of each document a 16-byte digest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stream = (folder / PASSAGES).open("wb")
        self._offsets = array("Q", [0])
        self._documents = array("I")
        self._facets = FacetWriter(folder)
        self._numbers: dict[bytes, int] = {}
        self._ids = bytearray()
        self._digest = hashlib.sha256()

    def __len__(self) -> int:
        """Return the number of passages written."""
        return len(self._documents)

    @property
    def documents(self) -> int:
        """The number of documents the passages are of."""
        return len(self._numbers)

    @property
    def digest(self) -> str:
        """The corpus digest of the passages written."""
        return self._digest.hexdigest()

    def add(self, passage: Passage) -> None:
        """Write one passage."""
        line = orjson.dumps(passage, option=orjson.OPT_APPEND_NEWLINE)
        self._stream.write(line)
        self._offsets.append(self._offsets[-1] + len(line))
        key = hashlib.blake2b(f"{passage.source}\0{passage.document}".encode(), digest_size=16).digest()
        self._documents.append(self._numbers.setdefault(key, len(self._numbers)))
        self._facets.add(passage)
        self._digest.update((b"\n" if self._ids else b"") + passage.id.encode("ascii"))
        self._ids += passage.id.encode("ascii")

    def close(self) -> npt.NDArray[np.uint64]:
        """Write the tables and return where each line begins and the last ends, shape (passages + 1,)."""
        self._stream.close()
        self._facets.close()
        offsets = np.array(self._offsets, "<u8")
        np.save(self._folder / OFFSETS, offsets)
        np.save(self._folder / DOCUMENTS, np.array(self._documents, "<u4"))
        ids = np.frombuffer(bytes(self._ids), "S16")
        order = np.argsort(ids, kind="stable")
        table = np.zeros(len(ids), [("id", "S16"), ("number", "<u4")])
        table["id"], table["number"] = ids[order], order
        np.save(self._folder / IDS, table)
        return offsets


def chunk_rows(chunks: Sequence[Sequence[Chunk]]) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint32]]:
    """Return the rows of the chunks of some passages in order, passages and sentences counted from 0, and all sentences."""
    rows: list[tuple[int, ...]] = []
    spans: list[tuple[int, int]] = []
    for number, own in enumerate(chunks):
        for chunk in own:
            rows.append((number, chunk.start, chunk.end, chunk.quote.start, chunk.quote.end, len(spans)))
            spans.extend((s.start, s.end) for s in chunk.sentences)
    return np.array(rows, CHUNK_ROW), np.array(spans, "<u4").reshape(-1, 2)


def check_passages(folder: Path) -> list[str]:
    """Return what is wrong with the passages and offsets of a generation; an empty list when every quote holds.

    A quote holds when its passage says what its id was made from, and when chunks, quotes and sentences are ranges of the
    passage that leave out nothing but white space and part no word. Each passage is read once.
    """
    store = PassageStore(folder)
    damaged = store.damaged_tables()
    if damaged:
        return damaged
    found = []
    for number in range(store.passages):
        try:
            passage = store.checked_passage(number)
        except (ValueError, TypeError, KeyError) as error:
            found.append(f"passage number {number} cannot be read: {error}")
            continue
        found += [f"passage {passage.id} {problem}" for problem in _passage_problems(passage)]
        if store.number(passage.id) != number:
            found.append(f"passage {passage.id} is not found by its id")
        numbers = store.chunks_of(number)
        chunks = [store.chunk(at) for at in numbers]
        found += [f"chunk {at} of passage {passage.id} {problem}" for at, problem in _chunk_problems(numbers, chunks)]
        if left_out(passage.text, Span(0, len(passage.text)), [Span(c.start, c.end) for c in chunks]):
            found.append(f"passage {passage.id} has words that are in no chunk")
    return found


def _passage_problems(passage: Passage) -> Iterator[str]:
    if passage.id != passage_id(passage.source, passage.document, passage.title, passage.heading, passage.text):
        yield "does not say what its id was made from: its words, heading, title, document or source were changed"
    if not passage.text or not 0 <= passage.start < passage.end:
        yield "is empty or has no place in its source"


def _chunk_problems(numbers: range, chunks: Sequence[Chunk]) -> Iterator[tuple[int, str]]:
    end = 0
    for number, chunk in zip(numbers, chunks, strict=True):
        text, whole = chunk.passage.text, Span(chunk.start, chunk.end)
        spans = (whole, chunk.quote, *chunk.sentences)
        if not 0 <= chunk.quote.start <= chunk.start < chunk.end <= chunk.quote.end <= len(text):
            yield number, "has offsets outside its text"
        elif chunk.start < end:
            yield number, "overlaps the chunk before it"
        elif any(not chunk.start <= s.start < s.end <= chunk.end for s in chunk.sentences):
            yield number, "has a sentence outside it"
        elif any(a.end > b.start for a, b in pairwise(chunk.sentences)):
            yield number, "has sentences that overlap"
        elif left_out(text, whole, chunk.sentences):
            yield number, "has words that are in no sentence"
        elif any(_parts_word(text, at) for span in spans for at in (span.start, span.end)):
            yield number, "does not start and end on a sentence border: it parts a word"
        elif any(trimmed(text, span) != span for span in spans):
            yield number, "does not start and end on a sentence border"
        end = chunk.end


def left_out(text: str, whole: Span, parts: Iterable[Span]) -> bool:
    """Say whether a range holds anything but white space outside its parts, which are in order."""
    at = whole.start
    for part in parts:
        if text[at : part.start].strip():
            return True
        at = max(at, part.end)
    return bool(text[at : whole.end].strip())


def _parts_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()
