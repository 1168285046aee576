"""Which way of putting the arms together ranks best: the starred rows of docs/retrieval.md.

    python -m benchmarks.fusion ../shared/eval/seed:test ../shared/eval/pages:test ../shared/eval/scifact:train [--reworded]

Give tuning sets only, as FOLDER:SPLIT. Every column is a set, searched as typed, or with ``--reworded`` as served: slips put
right, lay words translated. The first rows are searches with other weights; the last fuse the same candidates otherwise.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import ir_measures
import numpy as np
import numpy.typing as npt
from ir_measures import nDCG

from evaluate import open_or_build
from evaluation.dataset import Dataset, load_dataset
from index.fusion import HYBRID, Weights
from index.local import CANDIDATES, LocalIndex
from index.models import DEFAULT_MODEL
from index.ranking import Hit
from index.wording import Wording

Floats = npt.NDArray[np.floating]
RRF_K = 60
ROWS = (
    Weights(1, 0, 0, 0),
    Weights(0, 1, 0, 0),
    Weights(0, 0, 1, 0),
    Weights(1, 1, 0.25, 0),
    Weights(1, 1, 0.35, 0),
    Weights(1, 1, 1, 0),
    HYBRID,
    Weights(1, 1, 0.15, 1),
    Weights(1, 1, 0.35, 1),
    Weights(1, 1, 0.5, 1),
    Weights(1, 1, 0.25, 0.5),
    Weights(1, 1, 0.25, 1.5),
)


def min_max(scores: Floats) -> Floats:
    """Return the scores scaled to 0..1; equal ones become 0."""
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def reciprocal_rank(scores: Floats) -> Floats:
    """Return 1 / (60 + rank) for each score (Cormack, Clarke & Buettcher 2009)."""
    ranks = np.argsort(np.argsort(-scores, kind="stable"), kind="stable") + 1
    fused: Floats = 1 / (RRF_K + ranks)
    return fused


def ndcg(dataset: Dataset, ranked: dict[str, Iterable[tuple[str, float]]]) -> float:
    """Return nDCG@10 of scored chunks' documents, a document's score being its best chunk's."""
    run: dict[str, dict[str, float]] = {}
    for key, pairs in ranked.items():
        best: dict[str, float] = {}
        for document, score in pairs:
            best[document] = max(score, best.get(document, -np.inf))
        run[key] = best
    return float(ir_measures.calc_aggregate([nDCG @ 10], dataset.qrels, run)[nDCG @ 10])


def searched(index: LocalIndex, dataset: Dataset, weights: Weights, *, reworded: bool) -> dict[str, tuple[Hit, ...]]:
    """Return every query's hits with the given weights."""
    texts = dataset.queries.items()
    wordings = {key: index.reword(text) if reworded else Wording.as_typed(text) for key, text in texts}
    return {key: index.search(wording, 2 * CANDIDATES, weights=weights).hits for key, wording in wordings.items()}


def scored(hits: Sequence[Hit]) -> list[tuple[str, float]]:
    """Return documents and scores as they were ranked."""
    return [(hit.passage.document, hit.score) for hit in hits]


def rescored(hits: Sequence[Hit], scale: Callable[[Floats], Floats]) -> list[tuple[str, float]]:
    """Return documents with the sum of their scaled chunk, sentence and BM25 scores."""
    arms = np.array([(hit.similarity, hit.sentence, hit.lexical) for hit in hits], np.float64).T
    total = sum((scale(arm) for arm in arms), np.zeros(len(hits)))
    return [(hit.passage.document, float(score)) for hit, score in zip(hits, total, strict=True)]


def main(arguments: Sequence[str]) -> int:
    """Print the table for the sets given as FOLDER:SPLIT."""
    parser = argparse.ArgumentParser(prog="benchmarks.fusion", description="Compare ways of fusing on tuning sets.")
    parser.add_argument("sets", nargs="+", metavar="FOLDER:SPLIT")
    parser.add_argument("--reworded", action="store_true", help="reword the questions as served")
    options = parser.parse_args(arguments)
    sets = []
    for name in options.sets:
        folder, _, split = name.rpartition(":")
        dataset = load_dataset(Path(folder), split)
        sets.append((dataset, open_or_build(dataset, DEFAULT_MODEL, Path("build/eval"))))
    print(f"{'chunk sentence BM25 words':<30}" + "".join(f"{dataset.name:>12}" for dataset, _ in sets))
    for weights in ROWS:
        label = f"{weights.chunk:g} {weights.sentence:g} {weights.lexical:g} {weights.words:g}" + " *" * (weights == HYBRID)
        runs = [(d, searched(index, d, weights, reworded=options.reworded)) for d, index in sets]
        values = [ndcg(d, {key: scored(hits) for key, hits in run.items()}) for d, run in runs]
        print(f"{label:<30}" + "".join(f"{value:>12.4f}" for value in values), flush=True)
    for label, scale in (("min-max 1 1 1 0", min_max), ("reciprocal rank 1 1 1 0", reciprocal_rank)):
        runs = [(d, searched(index, d, HYBRID, reworded=options.reworded)) for d, index in sets]
        values = [ndcg(d, {key: rescored(hits, scale) for key, hits in run.items()}) for d, run in runs]
        print(f"{label:<30}" + "".join(f"{value:>12.4f}" for value in values), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
