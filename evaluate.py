"""The evaluator's command line: a data set in BEIR layout in, the field's measures and a TREC run out.

    python evaluate.py DATASET_DIR --retriever bm25|dense|hybrid [--split test] [--run-out F] [--json F]
    python evaluate.py DATASET_DIR --unanswerable FILE          and how well abstention tells what the corpus answers
    python evaluate.py --triage FILE                            what triage misses and shows for nothing

Every document of corpus.jsonl is indexed (no cleaning: the judgments decide), a document's score is its best chunk's, and
ir_measures computes nDCG@10, RR@10, R@100 and Success@1. The index is kept in build/eval and used again while data,
encoder and the code that makes an index stay the same.
"""

import argparse
import hashlib
import json
import platform
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from index.environment import prepare_libraries

if __name__ == "__main__":
    prepare_libraries()  # before anything below is imported

import ir_measures
from ir_measures import RR, R, Success, nDCG

from evaluation import abstention, answers, triage
from evaluation.dataset import Dataset, DatasetError, load_dataset, read_answers, read_unanswerable
from index.build import build_index
from index.encoder import cores
from index.fusion import BM25, DENSE, HYBRID, Weights
from index.local import CANDIDATES, LocalIndex
from index.models import DEFAULT_MODEL, ModelError, config_checksum, encoder_source, find_model, weights_checksum
from index.progress import ProgressBar
from index.storage import StorageError
from index.wording import Wording
from qa.policy import ACCEPTED_WRONG, PolicyError

RETRIEVERS: dict[str, Weights] = {"bm25": BM25, "dense": DENSE, "hybrid": HYBRID}
# Files of index/ that an index is made with.
DIGESTED = (".py", ".tsv", ".toml", ".txt")
# Documents kept in a run for each query.
DEPTH = 100


@dataclass(frozen=True, slots=True)
class Result:
    """One retriever's measures on one data set; ``query_ms`` is the median wall-clock time of a search."""

    retriever: str
    measures: dict[str, float]
    query_ms: float
    run: dict[str, dict[str, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate what was asked for and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.dataset is None and options.triage is None:
        parser.error("name a DATASET_DIR, or a file of messages with --triage")
    if options.dataset is None and options.unanswerable is not None:
        parser.error("--unanswerable needs the DATASET_DIR whose corpus is asked")
    try:
        reports = _evaluate_dataset(options) if options.dataset is not None else {}
        if options.triage is not None:
            report = triage.assess_messages(triage.read_messages(options.triage))
            print(triage.render(report))
            reports["triage"] = asdict(report)
        if options.json:
            options.json.write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
    except (DatasetError, StorageError, ModelError, PolicyError, triage.MessagesError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _evaluate_dataset(options: argparse.Namespace) -> dict[str, object]:
    """Measure the retrievers and, where they are labelled, answers and abstention; print, and return what was measured."""
    dataset = load_dataset(options.dataset, options.split)
    unanswerable = read_unanswerable(options.unanswerable) if options.unanswerable else ()
    index = open_or_build(dataset, options.model, options.index_dir)
    results = [evaluate(index, dataset, name, options.relevance_cut) for name in options.retriever]
    print(_table(dataset, results))
    write_runs(results, options.run_out)
    record = _record(dataset, index, results, options)
    labelled = read_answers(options.dataset)
    if labelled.keys() & dataset.queries.keys() and "hybrid" in options.retriever:
        found = answers.assess_answers(index, dataset, labelled)
        print(answers.render(found))
        record["answers"] = asdict(found)
    if unanswerable:
        questions = [question for _, question in unanswerable]
        told = abstention.assess_abstention(index, list(dataset.queries.values()), questions, accepted=options.accepted_wrong)
        print(abstention.render(told))
        record["abstention"] = asdict(told)
    return record


def write_runs(results: Sequence[Result], path: Path | None) -> None:
    """Write the runs in TREC format where a file is named; several retrievers' go to a file each, named for it."""
    if path is None:
        return
    for result in results:
        own = path if len(results) == 1 else path.with_name(f"{path.stem}.{result.retriever}{path.suffix}")
        own.write_text("".join(run_lines(result)), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="evaluate.py", description="Evaluate retrieval on a data set in BEIR layout.")
    parser.add_argument(
        "dataset", type=Path, nargs="?", metavar="DATASET_DIR", help="folder with corpus.jsonl, queries.jsonl, qrels/"
    )
    parser.add_argument("--unanswerable", type=Path, metavar="FILE", help="kind<TAB>question: print AUROC, AURC, coverage")
    parser.add_argument("--triage", type=Path, metavar="FILE", help="level<TAB>question: print missed, wrong, false alarms")
    parser.add_argument(
        "--accepted-wrong", type=float, default=ACCEPTED_WRONG, metavar="RATE", help="accepted rate of wrong answers (0.05)"
    )
    parser.add_argument("--retriever", nargs="+", choices=tuple(RETRIEVERS), default=list(RETRIEVERS), help="default: all")
    parser.add_argument("--split", default="test", help="qrels/SPLIT.tsv to judge by (default: test)")
    parser.add_argument("--relevance-cut", type=int, default=1, metavar="GRADE", help="lowest grade that is relevant")
    parser.add_argument("--run-out", type=Path, metavar="F", help="write the run in TREC format")
    parser.add_argument("--json", type=Path, metavar="F", help="write the measures and what they were measured on")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME_OR_PATH", help="hub name or local folder")
    parser.add_argument("--index-dir", type=Path, default=Path("build/eval"), metavar="DIR", help="where indexes are kept")
    return parser


def open_or_build(dataset: Dataset, model: str, folder: Path) -> LocalIndex:
    """Open the index kept for this data, model and code, or build it first."""
    found = find_model(model)
    settings = f"{dataset.digest} {weights_checksum(found.path)} {config_checksum(found.path)} {code_digest()}"
    index = folder / f"{dataset.name}-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"
    try:
        return LocalIndex.open(index)
    except StorageError:  # not built yet, or by code that wrote another format
        folder.mkdir(parents=True, exist_ok=True)
        print(f"indexing {len(dataset.passages):,} documents into {index}", file=sys.stderr)
        with closing(ProgressBar("passages to vectors")) as bar:
            source = encoder_source(model, *sorted(folder.iterdir()))
            build_index(dataset.passages, index, source, bar.show, workers=cores())
    return LocalIndex.open(index)


def code_digest() -> str:
    """Return a digest of the code that makes an index: a change there makes a kept index stale."""
    here = Path(__file__).resolve().parent
    files = sorted([*(here / "corpus").rglob("*.py"), *(p for p in (here / "index").iterdir() if p.suffix in DIGESTED)])
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def evaluate(index: LocalIndex, dataset: Dataset, retriever: str, relevance_cut: int) -> Result:
    """Run one retriever over the judged queries and measure it."""
    run: dict[str, dict[str, float]] = {}
    times = []
    for key, text in dataset.queries.items():
        begun = time.perf_counter()
        run[key] = rank_documents(index, text, RETRIEVERS[retriever])
        times.append((time.perf_counter() - begun) * 1000)
    measures = [nDCG @ 10, RR(rel=relevance_cut) @ 10, R(rel=relevance_cut) @ 100, Success(rel=relevance_cut) @ 1]
    values = ir_measures.calc_aggregate(measures, dataset.qrels, run)
    return Result(retriever, {str(m): float(values[m]) for m in measures}, statistics.median(times), run)


def rank_documents(index: LocalIndex, question: str, weights: Weights) -> dict[str, float]:
    """Return the best DEPTH documents and their scores, a document's score being its best chunk's."""
    best: dict[str, float] = {}
    wording = index.reword(question) if weights is HYBRID else Wording.as_typed(question)
    for hit in index.search(wording, 2 * CANDIDATES, weights=weights).hits:
        if len(best) < DEPTH or hit.passage.document in best:
            best.setdefault(hit.passage.document, hit.score)
    return best


def run_lines(result: Result) -> Iterable[str]:
    """Yield the lines of a TREC run: query Q0 document rank score tag."""
    for query, documents in result.run.items():
        ranked = sorted(documents.items(), key=lambda item: (-item[1], item[0]))
        for rank, (document, score) in enumerate(ranked, 1):
            yield f"{query} Q0 {document} {rank} {score:.6f} citewell-{result.retriever}\n"


def _table(dataset: Dataset, results: Sequence[Result]) -> str:
    names = list(results[0].measures)
    lines = [f"{dataset.name}, split {dataset.split}: {len(dataset.passages):,} documents, {len(dataset.queries):,} queries"]
    lines.append("  ".join([f"{'retriever':<10}", *(f"{name:>15}" for name in names), f"{'ms/query':>9}"]))
    for result in results:
        cells = [f"{result.measures[name]:>15.4f}" for name in names]
        lines.append("  ".join([f"{result.retriever:<10}", *cells, f"{result.query_ms:>9.1f}"]))
    return "\n".join(lines)


def _record(dataset: Dataset, index: LocalIndex, results: Sequence[Result], options: argparse.Namespace) -> dict[str, object]:
    return {
        "dataset": dataset.name,
        "split": dataset.split,
        "documents": len(dataset.passages),
        "queries": len(dataset.queries),
        "relevance_cut": options.relevance_cut,
        "corpus_sha256": dataset.digest,
        "generation": index.manifest.generation,
        "encoder": index.manifest.encoder,
        "chunking": index.manifest.chunking,
        "ir_measures": ir_measures.__version__,
        "python": platform.python_version(),
        "results": {
            result.retriever: {"measures": result.measures, "median_query_ms": round(result.query_ms, 3)} for result in results
        },
    }


if __name__ == "__main__":
    sys.exit(main())
