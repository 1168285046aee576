"""Source files to a published generation: read, clean, chunk, encode, write, publish.

The live generation serves on, untouched, until the new one is whole; a build that fails or is stopped leaves nothing
behind. Every item left out is in the report, with its reason.
"""

import datetime
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.chunk import chunk_passage
from corpus.clean import Rejected, clean
from corpus.passage import Chunk, Passage, Span
from corpus.read import read_sources
from corpus.readers.source import Unreadable
from index.confidence import calibrate
from index.dense import VECTORS, write_dense
from index.encoder import MODEL_FILES, Encoder, PassageInput, Precision, Vectors, comparable, open_encoder
from index.lexical import K1, STEMMER, B, write_lexical
from index.local import LocalIndex
from index.passages import PassageStore, corpus_digest, indexed_text, write_passages
from index.storage import (
    ENCODER,
    FORMAT,
    LEXICAL,
    SENTENCE_VECTORS,
    Manifest,
    StorageError,
    current_generation,
    file_facts,
    new_generation,
    publish,
)
from index.tokens import TOKENS, TokenWriter
from index.vocabulary import write_vocabulary

# Tokens of a chunk, heading and special tokens included, where the model reads that many (docs/retrieval.md).
CHUNK_TOKENS = 128
# Tokens a heading may take of a chunk's budget; a longer one is cut for the encoder, never in a citation.
CONTEXT_TOKENS = 48
QUERY_PRECISION: Precision = "int8"
# Chunks handed to the encoder at a time: bounds the memory for tokens and token vectors.
ENCODE_STEP = 512


class BuildError(Exception):
    """Nothing could be indexed; the message says why."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What reading and cleaning gave: passages to index, and everything left out with its reason."""

    passages: tuple[Passage, ...]
    rejected: tuple[Rejected, ...]
    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a build did; ``seconds`` is wall-clock time."""

    generation: str
    passages: int
    chunks: int
    rejected: tuple[Rejected, ...]
    unreadable: tuple[Unreadable, ...]
    seconds: float


Progress = Callable[[int, int], object]


def collect(sources: Sequence[Path]) -> Collected:
    """Read and clean sources; raise SourceError for one that does not exist, BuildError where no passage is left."""
    passages: list[Passage] = []
    rejected: list[Rejected] = []
    unreadable: list[Unreadable] = []
    for item in clean(read_sources(sources)):
        if isinstance(item, Passage):
            passages.append(item)
        elif isinstance(item, Rejected):
            rejected.append(item)
        else:
            unreadable.append(item)
    if not passages:
        named = "; ".join(f"{item.source}: {item.reason}" for item in unreadable[:5])
        named = named or ("every passage was rejected" if rejected else "no file was found")
        raise BuildError(f"there is nothing to index ({named})")
    return Collected(tuple(passages), tuple(rejected), tuple(unreadable))


def build_index(
    collected: Collected,
    index: Path,
    put_encoder: Callable[[Path], Encoder],
    progress: Progress = lambda _, __: None,
) -> Report:
    """Build a generation of the collected passages, publish it in ``index``, and report.

    ``put_encoder`` writes an encoder's files into the folder it is given and opens it for encoding passages;
    ``progress`` is told the chunks done and in all.
    """
    begun = time.monotonic()
    with new_generation(index) as folder:
        encoder = put_encoder(folder / ENCODER)
        chunks = [chunk_all(passage, encoder) for passage in collected.passages]
        truncated = _write(collected.passages, chunks, encoder, folder, progress)
        manifest = _manifest(collected, chunks, encoder, folder, truncated)
        calibrate(LocalIndex(folder, manifest, _serving(encoder, folder / ENCODER))).save(folder)
        manifest = _manifest(collected, chunks, encoder, folder, truncated)
        publish(index, folder=folder, manifest=manifest)
    seconds = time.monotonic() - begun
    count = sum(len(own) for own in chunks)
    return Report(
        manifest.generation, len(collected.passages), count, collected.rejected, collected.unreadable, round(seconds, 3)
    )


def _serving(encoder: Encoder, folder: Path) -> Encoder:
    """Return the encoder that questions will be served by, so that the calibration holds for it."""
    if (folder / MODEL_FILES[QUERY_PRECISION]).is_file():
        return open_encoder(folder, QUERY_PRECISION)
    return encoder


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


def _write(
    passages: Sequence[Passage], chunks: Sequence[Sequence[Chunk]], encoder: Encoder, folder: Path, progress: Progress
) -> int:
    """Write everything but the manifest; return how many chunks the encoder had to cut short."""
    flat = [chunk for own in chunks for chunk in own]
    write_passages(passages, chunks, folder)
    texts = [indexed_text(chunk) for chunk in flat]
    write_lexical(texts, folder / LEXICAL)
    write_vocabulary(texts, folder)
    tokens = TokenWriter()
    vectors: list[Vectors] = []
    sentences: list[np.ndarray[Any, np.dtype[np.float16]]] = []
    truncated = done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, len(flat))

    for start in range(0, len(flat), ENCODE_STEP):
        inputs = chunk_inputs(flat[start : start + ENCODE_STEP], encoder)
        encoded = encoder.encode_passages(inputs, advance)
        tokens.add(inputs, encoded.tokens)
        vectors.append(comparable(encoded.chunks, encoder.spec))
        sentences.extend(comparable(own, encoder.spec).astype(np.float16) for own in encoded.sentences)
        truncated += encoded.truncated
    np.save(folder / VECTORS, np.concatenate(vectors))
    write_dense(folder)
    np.save(folder / SENTENCE_VECTORS, np.concatenate(sentences))
    tokens.write(folder / TOKENS)
    return truncated


def _manifest(
    collected: Collected, chunks: Sequence[Sequence[Chunk]], encoder: Encoder, folder: Path, truncated: int
) -> Manifest:
    now = datetime.datetime.now(datetime.UTC)
    files = file_facts(folder)
    whole = hashlib.sha256(repr(sorted((name, fact.sha256) for name, fact in files.items())).encode()).hexdigest()
    return Manifest(
        format=FORMAT,
        generation=f"{now:%Y%m%dT%H%M%S}{now.microsecond:06d}-{whole[:8]}",
        created=now.isoformat(timespec="seconds"),
        encoder=asdict(encoder.spec),
        query_precision=QUERY_PRECISION,
        chunking={"max_tokens": min(CHUNK_TOKENS, encoder.spec.max_tokens), "context_tokens": CONTEXT_TOKENS},
        lexical={"method": "lucene", "k1": K1, "b": B, "stemmer": STEMMER},
        counts=_counts(collected, chunks, truncated),
        corpus_digest=corpus_digest(p.id for p in collected.passages),
        files=files,
    )


def _counts(collected: Collected, chunks: Sequence[Sequence[Chunk]], truncated: int) -> dict[str, object]:
    return {
        "documents": len({(p.source, p.document) for p in collected.passages}),
        "passages": len(collected.passages),
        "chunks": sum(len(own) for own in chunks),
        "sentences": sum(len(chunk.sentences) for own in chunks for chunk in own),
        "truncated_chunks": truncated,
        "rejected": _by_reason(item.reason for item in collected.rejected),
        "unreadable": len(collected.unreadable),
    }


def _by_reason(reasons: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(reasons).items()))


def check_sources(index: Path, sources: Sequence[Path]) -> list[str]:
    """Return where the live generation differs from what reading its sources gives now, passage by passage, every field."""
    expected = {passage.id: passage for passage in collect(sources).passages}
    store = PassageStore(current_generation(index))
    found = []
    for passage in (store.passage(number) for number in range(store.passages)):
        own = expected.pop(passage.id, None)
        if own is None:
            found.append(f"passage {passage.id} does not stand in the sources")
        elif own != passage:
            differing = [name for name, value in asdict(own).items() if value != asdict(passage)[name]]
            found.append(f"passage {passage.id} has another {', '.join(differing)} than its source")
    return found + [f"passage {left} of the sources is not in the index" for left in expected]


def require_target(index: Path, sources: Sequence[Path]) -> None:
    """Raise StorageError where ``index`` is a file, a generation folder, or within a source that the next build would read."""
    if index.exists() and not index.is_dir():
        raise StorageError(f"{index} is a file; name a folder for the index")
    if (index / "manifest.json").is_file():
        raise StorageError(f"{index} is itself an index generation; name the folder to build in")
    for source in sources:
        if index.resolve().is_relative_to(source.resolve()):
            raise StorageError(f"{index} lies within the source {source}: the next build would read the index as text")
