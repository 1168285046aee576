"""Measured curves of ways to find the nearest chunk vectors: what index/dense.py chooses by.

    python -m benchmarks.ann --pool build/remix --source ../shared/eval/medquad --count 100000 --json build/ann-100000.json

Vectors are remixed real ones (remix.py), questions real ones, encoded as served. Every index gives 200 candidates, which are
scored again with the float32 vectors on disk; recall@10 is of those ten. Each index is built with all cores and asked
in a process of its own, mapped from disk, on one thread.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from benchmarks.remix import chunk_vectors
from benchmarks.remix_pool import Pool
from evaluation.dataset import load_dataset
from index.dense import APPROXIMATE, DenseArm, write_dense
from index.encoder import Vectors, cores, open_encoder

QUESTIONS = 500
CANDIDATES = 200
TOP = 10
# Vectors that train a quantizer, for each list.
TRAINING = 40
SLICE = 50_000
FLAT, BINARY, ARM = "exact", "binary", "arm"

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """One index with one setting: sizes in MB, times in ms on one thread, recall of the candidates' ten and 200 best."""

    index: str
    setting: int
    count: int
    build_s: float
    file_mb: float
    open_ms: float
    resident_mb: float
    p50_ms: float
    p99_ms: float
    cpu_p50_ms: float
    rescore_p50_ms: float
    raw_recall_at_10: float
    recall_at_10: float
    recall_at_200: float


@dataclass(frozen=True, slots=True)
class Task:
    """What a measuring process needs: the index, its file, the settings to ask it with, and where the rest lies."""

    name: str
    path: Path
    folder: Path
    settings: tuple[int, ...]


def prepare(pool: Path, source: Path, count: int) -> Path:
    """Return a folder with ``count`` chunk vectors, the questions' and the exact answers, made where they are missing."""
    folder = pool / f"ann-{count}"
    folder.mkdir(exist_ok=True)
    vectors = folder / "chunk_vectors.npy"
    if not vectors.is_file():
        opened = Pool.open(pool)
        out = np.lib.format.open_memmap(vectors, "w+", np.float32, (count, opened.sums.shape[1]))
        at = 0
        for block in chunk_vectors(opened, count):
            out[at : at + len(block)] = block
            at += len(block)
        out.flush()
    if not (folder / "queries.npy").is_file():
        texts = sorted(set(load_dataset(source, "train").queries.values()))
        drawn = np.random.default_rng(7).choice(len(texts), QUESTIONS, replace=False)
        encoder = open_encoder(pool / "encoder", "int8")
        np.save(folder / "queries.npy", encoder.encode_queries([texts[i] for i in drawn]))
    if not (folder / "exact.npy").is_file():
        _, ids = faiss.knn(np.load(folder / "queries.npy"), load(vectors), CANDIDATES, metric=faiss.METRIC_INNER_PRODUCT)
        np.save(folder / "exact.npy", ids)
    return folder


def load(path: Path) -> Vectors:
    """Map an array as a plain one: memmap's own indexing is slower."""
    return np.asarray(np.load(path, mmap_mode="r"))


def build(name: str, folder: Path) -> tuple[Path, float]:
    """Build an index with all cores, write it, and return its file and the seconds it took."""
    vectors = load(folder / "chunk_vectors.npy")
    path = folder / f"{name.replace(',', '_')}.faiss"
    faiss.omp_set_num_threads(cores())
    begun = time.monotonic()
    if name == ARM:
        print(write_dense(folder, exact_up_to=0))
        return folder / APPROXIMATE, time.monotonic() - begun
    if name == BINARY:
        signs = faiss.IndexBinaryFlat(vectors.shape[1])
        for start in range(0, len(vectors), SLICE):
            signs.add(np.packbits(vectors[start : start + SLICE] > 0, axis=1))
        faiss.write_index_binary(signs, str(path))
        return path, time.monotonic() - begun
    index: Any = faiss.index_factory(vectors.shape[1], name, faiss.METRIC_INNER_PRODUCT)
    lists = getattr(index, "nlist", 0)
    if lists:
        index.cp.niter = 10
        index.cp.seed = 1
    sample = np.sort(np.random.default_rng(1).permutation(len(vectors))[: lists * TRAINING or 65_536])
    index.train(vectors[sample])
    for start in range(0, len(vectors), SLICE):
        index.add(vectors[start : start + SLICE])
    faiss.write_index(index, str(path))
    return path, time.monotonic() - begun


def open_mapped(path: Path) -> Any:
    """Open an index with what can be mapped mapped, and no threads of its own."""
    if path.name.startswith(BINARY):
        return faiss.read_index_binary(str(path))
    for flag in (faiss.IO_FLAG_MMAP, faiss.IO_FLAG_MMAP_IFC, 0):
        try:
            index = faiss.read_index(str(path), flag)
            break
        except RuntimeError:
            continue
    if isinstance(index, faiss.IndexIVF):
        lists = faiss.downcast_InvertedLists(index.invlists) if index.invlists else None
        if isinstance(lists, faiss.OnDiskInvertedLists):
            lists.prefetch_nthread = 0
    return index


def searcher(task: Task, vectors: Vectors) -> tuple[Callable[[Vectors, int], Ids], float]:
    """Return what finds candidates for a question with a setting, and the milliseconds that opening took."""
    begun = time.monotonic()
    if task.name == FLAT:
        return lambda query, _: faiss.knn(query[None], vectors, CANDIDATES, metric=faiss.METRIC_INNER_PRODUCT)[1][0], 0.0
    index = open_mapped(task.path)
    opened = 1000 * (time.monotonic() - begun)

    def search(query: Vectors, setting: int) -> Ids:
        if task.name == BINARY:
            found: Ids = index.search(np.packbits(query[None] > 0, axis=1), setting)[1][0]
            return found
        if isinstance(index, faiss.IndexIVF):
            index.nprobe = setting
        elif isinstance(index, faiss.IndexHNSW):
            index.hnsw.efSearch = setting
        ids: Ids = index.search(query[None], CANDIDATES)[1][0]
        return ids[ids >= 0]

    return search, opened


def measure(task: Task) -> list[dict[str, float]]:
    """Ask an index all questions with each setting; meant for a process of its own."""
    faiss.omp_set_num_threads(1)
    vectors = load(task.folder / "chunk_vectors.npy")
    queries, exact = np.load(task.folder / "queries.npy"), np.load(task.folder / "exact.npy")
    before = resident()
    if task.name == ARM and task.settings == (0,):
        return [measure_arm(task.folder, queries, exact)]
    search, opened = searcher(task, vectors)
    found = []
    for setting in task.settings:
        search(queries[0], setting)
        times, answers, again = [], [], []
        for query in queries:
            begun, cpu = time.perf_counter(), time.thread_time()
            ids = search(query, setting)
            middle, used = time.perf_counter(), time.thread_time()
            scores = vectors[ids] @ query
            answers.append((ids, ids[np.argsort(-scores, kind="stable")]))
            again.append(time.perf_counter() - middle)
            times.append((middle - begun, used - cpu))
        wall, busy = 1000 * np.array(times).T
        found.append(
            {
                "open_ms": opened,
                "resident_mb": resident() - before,
                "p50_ms": float(np.median(wall)),
                "p99_ms": float(np.percentile(wall, 99)),
                "cpu_p50_ms": float(np.median(busy)),
                "rescore_p50_ms": 1000 * float(np.median(again)),
                "raw_recall_at_10": recall(vectors, queries, [raw[:TOP] for raw, _ in answers], exact[:, :TOP]),
                "recall_at_10": recall(vectors, queries, [best[:TOP] for _, best in answers], exact[:, :TOP]),
                "recall_at_200": recall(vectors, queries, [raw for raw, _ in answers], exact),
            }
        )
    return found


def measure_arm(folder: Path, queries: Vectors, exact: Ids) -> dict[str, float]:
    """Ask the dense arm itself, as a search does: its best candidates, and again the scores of as many chunks."""
    before, begun = resident(), time.perf_counter()
    arm = DenseArm.open(folder)
    opened = time.perf_counter() - begun
    times, again, found = [], [], []
    for query in queries:
        begun, cpu = time.perf_counter(), time.thread_time()
        found.append(arm.search(query, CANDIDATES)[0])
        middle, used = time.perf_counter(), time.thread_time()
        arm.scores(query, found[-1])
        times.append((middle - begun, used - cpu))
        again.append(time.perf_counter() - middle)
    wall, busy = 1000 * np.array(times).T
    used_mb = resident() - before
    vectors = load(folder / "chunk_vectors.npy")
    reached = recall(vectors, queries, [ids[:TOP] for ids in found], exact[:, :TOP])
    return {
        "open_ms": 1000 * opened,
        "resident_mb": used_mb,
        "p50_ms": float(np.median(wall)),
        "p99_ms": float(np.percentile(wall, 99)),
        "cpu_p50_ms": float(np.median(busy)),
        "rescore_p50_ms": 1000 * float(np.median(again)),
        "raw_recall_at_10": reached,
        "recall_at_10": reached,
        "recall_at_200": recall(vectors, queries, found, exact),
    }


def recall(vectors: Vectors, queries: Vectors, found: Sequence[Ids], exact: Ids) -> float:
    """Return the mean share of the nearest that were found, one of many equally near as good as another."""
    shares = []
    for query, own, best in zip(queries, found, exact, strict=True):
        least = (vectors[best] @ query).min() - 1e-6
        shares.append(np.sum(vectors[own] @ query >= least) / len(best))
    return float(np.mean(shares))


def resident() -> float:
    """Return this process's resident memory in MB, mapped files included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def curves(folder: Path, names: Sequence[str]) -> list[Row]:
    """Build and measure every index named as ``NAME:SETTING,SETTING``, printing a line for each setting."""
    rows = []
    count = len(load(folder / "chunk_vectors.npy"))
    for named in names:
        name, _, listed = named.partition(":")
        settings = tuple(int(s) for s in listed.split("/") if s) or (0,)
        path, seconds = (Path(), 0.0) if name == FLAT else build(name, folder)
        size = path.stat().st_size / 1e6 if name != FLAT else count * 4 * 384 / 1e6
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            measured = pool.apply(measure, (Task(name, path, folder, settings),))
        for setting, values in zip(settings, measured, strict=True):
            row = Row(name, setting, count, seconds, size, **values)
            rows.append(row)
            print(
                "  ".join(
                    f"{value:>10.3f}" if isinstance(value, float) else f"{value!s:>18}" for value in asdict(row).values()
                ),
                flush=True,
            )
        if name != FLAT:
            path.unlink()
    return rows


def main(arguments: Sequence[str]) -> int:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.ann", description="Compare ways to find near vectors.")
    parser.add_argument("--pool", type=Path, required=True, help="what benchmarks.remix made")
    parser.add_argument("--source", type=Path, required=True, help="the data set whose questions are asked")
    parser.add_argument("--count", type=int, required=True, help="how many chunk vectors")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "indexes", nargs="+", metavar="NAME:SETTING/SETTING", help="a FAISS factory string, exact, binary or arm"
    )
    options = parser.parse_args(arguments)
    folder = prepare(options.pool, options.source, options.count)
    print("  ".join(f"{name:>12}" for name in Row.__slots__))
    rows = curves(folder, options.indexes)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
