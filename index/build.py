"""Source files to a published generation: read, clean, cut, encode, merge, publish.

Passages go to disk as they are read, and from there to shards that workers make side by side: no more text and vectors are
in memory than a shard for each worker. The live generation serves on, untouched, until the new one is whole. What an
interrupted build finished is used by the next on the same index. Every item left out is in the report, with its reason.
"""

import datetime
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.clean import Rejected, clean
from corpus.passage import Passage
from corpus.read import read_sources
from corpus.readers.source import Unreadable
from index.confidence import Asked, Told, ask, calibrate
from index.dense import write_dense
from index.encoder import (
    CUDA,
    MODEL_FILES,
    Encoder,
    EncoderSource,
    Precision,
    Vectors,
    available_providers,
    open_encoder,
)
from index.lexical import K1, STEMMER, B
from index.local import LocalIndex
from index.merge import Merged, merge_shards
from index.models import passage_precision
from index.passages import PassageStore, PassageWriter, parse_passage
from index.shards import (
    CHUNK_TOKENS,
    CONTEXT_TOKENS,
    ShardTask,
    chunk_all,
    chunk_inputs,
    make_shard,
    plan_shards,
    read_lines,
    shard_name,
)
from index.storage import (
    ENCODER,
    FORMAT,
    GENERATION,
    SHARDS,
    FileFact,
    Manifest,
    StorageError,
    current_generation,
    file_facts,
    publish,
    sync_all,
    workshop,
)
from index.tokens import mean_token
from index.workers import Crew

QUERY_PRECISION: Precision = "int8"
# Passages whose tokens give the mean that all token vectors are centred on, spread evenly over the corpus.
MEAN_PASSAGES = 64

Item = Passage | Rejected | Unreadable
Progress = Callable[[int, int], object]


class BuildError(Exception):
    """Nothing could be indexed; the message says why."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a build did; ``resumed`` counts the shards an interrupted build had finished; ``seconds`` is wall-clock time."""

    generation: str
    passages: int
    chunks: int
    rejected: tuple[Rejected, ...]
    unreadable: tuple[Unreadable, ...]
    shards: int
    resumed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Spooled:
    """What reading gave: passages on disk, where their lines begin, and what was left out."""

    offsets: npt.NDArray[np.uint64]
    documents: int
    digest: str
    rejected: tuple[Rejected, ...]
    unreadable: tuple[Unreadable, ...]


def collect(sources: Sequence[Path]) -> Iterable[Item]:
    """Read and clean sources one item at a time; raise SourceError for a source that does not exist."""
    return clean(read_sources(sources))


def build_index(
    items: Iterable[Item],
    index: Path,
    source: EncoderSource,
    progress: Progress = lambda _, __: None,
    *,
    workers: int = 1,
) -> Report:
    """Build a generation of the passages among the items, publish it in ``index``, and report.

    ``progress`` is told the bytes of passages encoded and in all, first of all those of an interrupted build. With more than
    one worker the passages are encoded in processes.
    """
    begun = time.monotonic()
    with workshop(index, source.identity) as work:
        folder = work / GENERATION
        spooled = _spool(items, folder)
        _put_encoder(source, folder / ENCODER)
        encoder = source.open(folder / ENCODER)
        several = len(plan_shards(spooled.offsets)) > 1 and _gains_from_workers(encoder)
        with Crew(encoder, folder / ENCODER, source.open, workers=workers if several else 1) as crew:
            mean = _sample_mean(folder, spooled.offsets, encoder)
            precision = passage_precision(folder / ENCODER, available_providers())
            tasks, firsts = _tasks(work, spooled.offsets, mean, f"{source.identity} {precision}")
            left = [task for task in tasks if not task.target.is_file()]
            _make(left, tasks, crew, progress)
            merged = merge_shards([task.target for task in tasks], firsts, folder, mean)
            manifest = _finish(folder, _manifest(folder, spooled, merged, encoder), encoder, crew)
        publish(index, folder=folder, manifest=manifest)
    seconds = round(time.monotonic() - begun, 3)
    shards, resumed = len(tasks), len(tasks) - len(left)
    passages = len(spooled.offsets) - 1
    return Report(manifest.generation, passages, merged.chunks, spooled.rejected, spooled.unreadable, shards, resumed, seconds)


def _gains_from_workers(encoder: Encoder) -> bool:
    """Say whether several processes encode faster than one: not on a GPU, nor where torch uses every core by itself."""
    return encoder.spec.runtime == "onnx" and CUDA not in available_providers()


def _spool(items: Iterable[Item], folder: Path) -> _Spooled:
    """Write the passages as they come; raise BuildError where there is none."""
    writer = PassageWriter(folder)
    rejected: list[Rejected] = []
    unreadable: list[Unreadable] = []
    for item in items:
        if isinstance(item, Passage):
            writer.add(item)
        elif isinstance(item, Rejected):
            rejected.append(item)
        else:
            unreadable.append(item)
    offsets = writer.close()
    if not len(writer):
        named = "; ".join(f"{item.source}: {item.reason}" for item in unreadable[:5])
        named = named or ("every passage was rejected" if rejected else "no file was found")
        raise BuildError(f"there is nothing to index ({named})")
    return _Spooled(offsets, writer.documents, writer.digest, tuple(rejected), tuple(unreadable))


def _put_encoder(source: EncoderSource, folder: Path) -> None:
    """Put the encoder's files into a folder, all of them or none; those of an interrupted build are used again."""
    if not folder.is_dir():
        unfinished = folder.with_name(f".{folder.name}")
        source.put(unfinished)
        sync_all(unfinished)
        unfinished.rename(folder)


def _sample_mean(folder: Path, offsets: npt.NDArray[np.uint64], encoder: Encoder) -> Vectors:
    """Return the mean of the token vectors of the first chunks of passages spread over the corpus, shape (dim,)."""
    count = len(offsets) - 1
    sample = sorted({number * count // MEAN_PASSAGES for number in range(MEAN_PASSAGES)})
    lines = (read_lines(folder, int(offsets[number]), int(offsets[number + 1])) for number in sample)
    chunks = [chunk_all(parse_passage(line), encoder)[:1] for line in lines]
    encoded = encoder.encode_passages(chunk_inputs([chunk for own in chunks for chunk in own], encoder))
    return mean_token(encoded.tokens, encoder.spec.dim)


def _tasks(work: Path, offsets: npt.NDArray[np.uint64], mean: Vectors, identity: str) -> tuple[list[ShardTask], list[int]]:
    """Return the task of each shard, and the number of its first passage."""
    folder = work / GENERATION
    mean_file = work / SHARDS / ".mean.npy"
    np.save(mean_file, mean)
    tasks, firsts = [], []
    for passages in plan_shards(offsets):
        begin, end = int(offsets[passages.start]), int(offsets[passages.stop])
        name = shard_name(read_lines(folder, begin, end), identity, mean)
        tasks.append(ShardTask(folder, begin, end, mean_file, work / SHARDS / name))
        firsts.append(passages.start)
    return tasks, firsts


def _make(left: Sequence[ShardTask], tasks: Sequence[ShardTask], crew: Crew, progress: Progress) -> None:
    """Make the shards that are left, and tell the bytes done and in all."""
    total = sum(task.end - task.begin for task in tasks)
    done = total - sum(task.end - task.begin for task in left)
    progress(done, total)
    for task, _ in crew.run(make_shard, left):
        done += task.end - task.begin
        progress(done, total)


def _finish(folder: Path, manifest: Manifest, encoder: Encoder, crew: Crew) -> Manifest:
    """Calibrate what is made of the merged files, and return the whole generation's manifest."""
    index = LocalIndex(folder, manifest, _serving(encoder, folder / ENCODER))

    def ask_all(questions: Sequence[Asked]) -> list[Told]:
        parts = [_Part(folder, manifest, tuple(questions[first :: crew.size])) for first in range(crew.size)]
        found = dict(crew.run(_ask, parts))
        told = [iter(found[part]) for part in parts]
        return [next(told[at % crew.size]) for at in range(len(questions))]

    calibrate(index, ask_all).save(folder)
    return named(manifest, file_facts(folder))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Questions for one worker to ask the index."""

    folder: Path
    manifest: Manifest
    questions: tuple[Asked, ...]


def _ask(encoder: Encoder, part: _Part) -> list[Told]:
    return ask(LocalIndex(part.folder, part.manifest, _serving(encoder, part.folder / ENCODER)), part.questions)


def _serving(encoder: Encoder, folder: Path) -> Encoder:
    """Return the encoder that questions will be served by, so that the calibration holds for it."""
    if (folder / MODEL_FILES[QUERY_PRECISION]).is_file():
        return open_encoder(folder, QUERY_PRECISION)
    return encoder


def _manifest(folder: Path, spooled: _Spooled, merged: Merged, encoder: Encoder) -> Manifest:
    """Make the chunk vectors searchable, and return the manifest of a generation that lacks its calibration: without files."""
    return Manifest(
        format=FORMAT,
        generation="",
        created="",
        encoder=asdict(encoder.spec),
        query_precision=QUERY_PRECISION,
        passage_precision=passage_precision(folder / ENCODER, available_providers()),
        chunking={"max_tokens": min(CHUNK_TOKENS, encoder.spec.max_tokens), "context_tokens": CONTEXT_TOKENS},
        lexical={"method": "lucene", "k1": K1, "b": B, "stemmer": STEMMER},
        dense=asdict(write_dense(folder)),
        counts=_counts(spooled, merged),
        corpus_digest=spooled.digest,
        files={},
    )


def named(manifest: Manifest, files: dict[str, FileFact]) -> Manifest:
    """Return the manifest of a whole generation: with its files, and a name from the time and their digests."""
    now = datetime.datetime.now(datetime.UTC)
    whole = hashlib.sha256(repr(sorted((name, fact.sha256) for name, fact in files.items())).encode()).hexdigest()
    name = f"{now:%Y%m%dT%H%M%S}{now.microsecond:06d}-{whole[:8]}"
    return replace(manifest, generation=name, created=now.isoformat(timespec="seconds"), files=files)


def _counts(spooled: _Spooled, merged: Merged) -> dict[str, object]:
    return {
        "documents": spooled.documents,
        "passages": len(spooled.offsets) - 1,
        "chunks": merged.chunks,
        "sentences": merged.sentences,
        "truncated_chunks": merged.truncated,
        "rejected": _by_reason(item.reason for item in spooled.rejected),
        "unreadable": len(spooled.unreadable),
    }


def _by_reason(reasons: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(reasons).items()))


def check_sources(index: Path, sources: Sequence[Path]) -> list[str]:
    """Return where the live generation differs from what reading its sources gives now, passage by passage, every field."""
    expected = {passage.id: passage for passage in collect(sources) if isinstance(passage, Passage)}
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
