"""How an index of a thousand to a million chunks is built, opened and searched.

    python -m benchmarks.remix pool ../shared/eval/medquad --out build/remix
    python -m benchmarks.scale build/remix ../shared/eval/medquad --sizes 1000 10000 100000 1000000 --json build/scale.json

Each size is built by the real build from remixed passages (remix.py), whose token vectors are copied, not computed: the time
of a build leaves out the encoder's. Each index is then opened in a process of its own and asked real questions, encoded by
the real model. The search stage is everything after encoding: both arms, fusion, sentence scores, word coverage. Recall@10
compares the dense arm with a comparison of every vector, and the final ranking with the one that exact arm gives.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from shutil import copytree, rmtree
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from benchmarks.remix import RemixEncoder, write_passages
from benchmarks.remix_pool import Pool
from index.build import build_index, collect
from index.dense import VECTORS, DenseArm
from index.encoder import Encoder, EncoderSource, cores
from index.local import LocalIndex
from index.mapped import Rows
from index.question_vectors import QuestionVectors
from index.ranking import Query
from index.storage import current_generation, read_manifest
from index.wording import Wording
from qa.answerer import JUDGED_HITS, Answerer

QUESTIONS = 500
T = TypeVar("T")
# Questions asked before the clock counts: they bring the files into memory, as a server's first questions do.
WARMING = 300


@dataclass(frozen=True, slots=True)
class Built:
    """What building cost: wall-clock seconds, the greatest memory of one process, and the files' size, in MB."""

    chunks: int
    seconds: float
    peak_mb: float
    index_mb: float
    dense: str
    manifest_recall: float


@dataclass(frozen=True, slots=True)
class Searched:
    """What an index costs a process: times in milliseconds, memory in MB; and recalls from 0 to 1."""

    open_ms: float
    first_answer_ms: float
    search_p50_ms: float
    search_p99_ms: float
    dense_p50_ms: float
    lexical_p50_ms: float
    ask_p50_ms: float
    ask_p99_ms: float
    resident_mb: float
    dense_recall_at_10: float
    ranking_recall_at_10: float


def open_remix(pool: Path, _: Path) -> Encoder:
    """Open a pool's encoder, whichever folder a build has put its files in."""
    return RemixEncoder.open(pool)


def build(pool: Path, count: int, folder: Path) -> Built:
    """Build the index of ``count`` passages in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_passages(Pool.open(pool), folder / "passages.jsonl", count)
    source = EncoderSource(f"remix {pool}", partial(copytree, pool / "encoder"), partial(open_remix, pool))
    report = build_index(collect([folder / "passages.jsonl"]), folder / "index", source, _say, workers=cores())
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    manifest = read_manifest(current_generation(folder / "index"))
    size = sum(fact.bytes for fact in manifest.files.values())
    dense = manifest.dense
    kind = ", ".join([str(dense["kind"]), *(f"{name} {value}" for name, value in dense["parameters"].items())])
    return Built(report.chunks, report.seconds, peak / 1024, size / 1e6, kind, float(dense["recall_at_10"]))


def _say(done: int, total: int) -> None:
    print(f"\r{100 * done / total:5.1f} %", end="", file=sys.stderr, flush=True)


def search(folder: Path, questions: Sequence[str]) -> Searched:
    """Open an index and ask it the questions; the first WARMING are not counted."""
    begun = time.perf_counter()
    index = LocalIndex.open(folder / "index")
    opened = time.perf_counter()
    answerer = Answerer(index)
    answerer.ask(questions[0])
    first = time.perf_counter()
    for question in questions[:WARMING]:
        answerer.ask(question)
    counted = questions[WARMING:]
    asked = _times(answerer.ask, counted)
    index.questions = QuestionVectors(index.encoder, kept=4 * len(counted))
    wordings = [index.reword(question) for question in counted]
    queries = [index.search(wording, JUDGED_HITS).query for wording in wordings]
    stage = _times(lambda wording: index.search(wording, JUDGED_HITS), wordings)  # its vectors are at hand by now
    dense = _times(lambda query: index.dense.search(query.vector, 200), queries)
    lexical = _times(lambda query: index.lexical.search(query.lexical, 200), queries)
    resident = _resident()
    return Searched(
        open_ms=(opened - begun) * 1000,
        first_answer_ms=(first - begun) * 1000,
        search_p50_ms=float(np.median(stage)),
        search_p99_ms=float(np.quantile(stage, 0.99)),
        dense_p50_ms=float(np.median(dense)),
        lexical_p50_ms=float(np.median(lexical)),
        ask_p50_ms=float(np.median(asked)),
        ask_p99_ms=float(np.quantile(asked, 0.99)),
        resident_mb=resident,
        dense_recall_at_10=_dense_recall(index, queries),
        ranking_recall_at_10=_ranking_recall(index, wordings),
    )


def _dense_recall(index: LocalIndex, queries: Sequence[Query]) -> float:
    """Return the share of the ten nearest chunks, every vector compared, that the dense arm has among its first ten."""
    exact = DenseArm(Rows(index.folder / VECTORS), None)
    return _shared([(index.dense.search(q.vector, 10)[0], exact.search(q.vector, 10)[0]) for q in queries])


def _ranking_recall(index: LocalIndex, wordings: Sequence[Wording]) -> float:
    """Return the share of the first ten hits with an exact dense arm that the index's own first ten hold."""
    own = [np.array([hit.number for hit in index.search(wording, 10).hits]) for wording in wordings]
    index.dense = DenseArm(Rows(index.folder / VECTORS), None)
    best = [np.array([hit.number for hit in index.search(wording, 10).hits]) for wording in wordings]
    return _shared(list(zip(own, best, strict=True)))


def _shared(pairs: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]) -> float:
    return float(np.mean([np.isin(best, found).mean() for found, best in pairs]))


def _times(run: Callable[[T], object], items: Sequence[T]) -> list[float]:
    """Return the milliseconds that each call takes."""
    found = []
    for item in items:
        begun = time.perf_counter()
        run(item)
        found.append((time.perf_counter() - begun) * 1000)
    return found


def _resident() -> float:
    """Return the megabytes of this process that are in memory, mapped pages and all."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main(arguments: Sequence[str]) -> int:
    """Build and measure each size, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description="An index of a thousand to a million chunks.")
    parser.add_argument("pool", type=Path, help="what benchmarks.remix made")
    parser.add_argument("source", type=Path, help="the data set whose questions are asked")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    parser.add_argument("--keep", action="store_true", help="leave the indexes where they were built")
    parser.add_argument("--one", choices=["build", "search"], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    folder = options.json.with_suffix("")
    if options.one:
        return _one(options, folder / str(options.sizes[0]))
    rows = []
    for size in options.sizes:
        row: dict[str, object] = {"passages": size}
        for step in ("build", "search"):
            again = [*arguments, "--sizes", str(size), "--one", step]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.scale", *again], capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return 1
            row.update(json.loads(done.stdout))
        print(json.dumps(row), file=sys.stderr)
        rows.append(row)
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        if not options.keep:
            rmtree(folder / str(size))
    return 0


def _one(options: argparse.Namespace, folder: Path) -> int:
    if options.one == "build":
        print(json.dumps(asdict(build(options.pool, options.sizes[0], folder))))
        return 0
    lines = (options.source / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    step = max(1, len(lines) // (QUESTIONS + WARMING))
    questions = [json.loads(line)["text"] for line in lines[::step]][: QUESTIONS + WARMING]
    print(json.dumps(asdict(search(folder, questions))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
