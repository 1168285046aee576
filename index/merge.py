"""Finished shards to the files of a generation, in two passes over them: sizes and postings first, then everything else.

Arrays are appended to their files as they come; what stays in memory is a number for each word and stem. The passage files are
already there, written as the sources were read (passages.py).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from index.dense import VECTORS
from index.passages import CHUNK_ROW, CHUNKS, SENTENCES
from index.postings import Postings, PostingsWriter
from index.sentence_vectors import CODES, SCALES
from index.storage import LEXICAL, StorageError
from index.tokens import BITS, CHUNK_TOKEN_STARTS, MEAN, SENTENCE_TOKENS, TOKENS
from index.vocabulary import write_counts

Shard = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Merged:
    """What a generation holds: chunks, sentences, and chunks that the encoder had to cut short."""

    chunks: int
    sentences: int
    truncated: int


class Appender:
    """A .npy file of known length, written a few rows at a time."""

    def __init__(self, path: Path, shape: tuple[int, ...], kind: npt.DTypeLike) -> None:
        self._path, self._left, self._kind = path, shape[0], np.dtype(kind)
        self._stream: BinaryIO = path.open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(self._kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, header)

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Write some rows."""
        self._stream.write(np.ascontiguousarray(rows, self._kind).tobytes())
        self._left -= len(rows)

    def close(self) -> None:
        """End the file; raise ValueError unless it got as many rows as were announced."""
        self._stream.close()
        if self._left:
            raise ValueError(f"{self._path.name} lacks {self._left} of the rows it was to have")


def merge_shards(shards: Sequence[Path], firsts: Sequence[int], folder: Path, mean: npt.NDArray[np.float32]) -> Merged:
    """Write the generation's chunk, vector, token, BM25 and vocabulary files from shards in passage order.

    ``firsts`` holds the number of each shard's first passage.
    """
    writer = PostingsWriter(folder / LEXICAL)
    words: Counter[str] = Counter()
    chunks = sentences = tokens = truncated = 0
    for shard in _read(shards, ("chunk_tokens", "scales", "words", "word_counts", "truncated", *_POSTINGS)):
        writer.survey(_postings(shard))
        held = shard["words"].tobytes().decode("utf-8").split("\n") if len(shard["words"]) else []
        for word, count in zip(held, shard["word_counts"].tolist(), strict=True):
            words[word] += count
        chunks += len(shard["chunk_tokens"])
        sentences += len(shard["scales"])
        tokens += int(shard["chunk_tokens"].sum())
        truncated += int(shard["truncated"])
    writer.write(_postings(shard) for shard in _read(shards, _POSTINGS))
    write_counts(words, chunks, folder)
    _append_all(shards, firsts, folder, (chunks, sentences, tokens), mean)
    return Merged(chunks, sentences, truncated)


_POSTINGS = tuple(f"postings_{name}" for name in Postings.__slots__)
_APPENDED = ("chunks", "sentences", "vectors", "codes", "scales", "bits", "chunk_tokens", "sentence_tokens")


def _append_all(
    shards: Sequence[Path], firsts: Sequence[int], folder: Path, sizes: tuple[int, int, int], mean: npt.NDArray[np.float32]
) -> None:
    chunks, sentences, tokens = sizes
    dim = len(mean)
    (folder / TOKENS).mkdir()
    np.save(folder / TOKENS / MEAN, mean)
    files = {
        "chunks": Appender(folder / CHUNKS, (chunks + 1,), CHUNK_ROW),
        "sentences": Appender(folder / SENTENCES, (sentences, 2), "<u4"),
        "vectors": Appender(folder / VECTORS, (chunks, dim), "<f4"),
        "codes": Appender(folder / CODES, (sentences, dim), "i1"),
        "scales": Appender(folder / SCALES, (sentences,), "<f4"),
        "bits": Appender(folder / TOKENS / BITS, (tokens, (dim + 7) // 8), "u1"),
        "chunk_tokens": Appender(folder / TOKENS / CHUNK_TOKEN_STARTS, (chunks + 1,), "<u8"),
        "sentence_tokens": Appender(folder / TOKENS / SENTENCE_TOKENS, (sentences,), "<u8"),
    }
    sentence = token = passages = 0
    for first, shard in zip(firsts, _read(shards, _APPENDED), strict=True):
        passages = first + int(shard["chunks"]["passage"][-1]) + 1
        shard["chunks"]["passage"] += first
        shard["chunks"]["sentence"] += sentence
        shard["sentence_tokens"] += np.uint64(token)
        lengths = shard["chunk_tokens"].astype(np.uint64)
        shard["chunk_tokens"] = np.cumsum(lengths) - lengths + np.uint64(token)
        sentence += len(shard["scales"])
        token += int(lengths.sum())
        for name, file in files.items():
            file.add(shard[name])
    files["chunks"].add(np.array([(passages, 0, 0, 0, 0, sentence)], CHUNK_ROW))
    files["chunk_tokens"].add(np.array([token], np.uint64))
    for file in files.values():
        file.close()


def _read(shards: Sequence[Path], names: Sequence[str]) -> Iterator[Shard]:
    for path in shards:
        try:
            with path.open("rb") as stream, np.load(stream) as held:
                found = {name: held[name] for name in names}
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            path.unlink(missing_ok=True)
            raise StorageError(
                f"the shard {path.name} is damaged and was removed; build again, the next build makes it anew"
            ) from error
        yield found


def _postings(shard: Shard) -> Postings:
    return Postings(*(shard[name] for name in _POSTINGS))
