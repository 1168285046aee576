"""Which way of putting the arms together ranks best: the table in docs/retrieval.md.

    python -m benchmarks.fusion ../shared/eval/seed:test ../shared/eval/pages:test ../shared/eval/scifact:train

Give tuning sets only, as FOLDER:SPLIT. Every row is a way of fusing the same candidates; every column a set, with
questions encoded in int8 (as served) and in float32, because a choice that holds for one alone is luck.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import ir_measures
import numpy as np
import numpy.typing as npt
from ir_measures import nDCG

from evaluate import Dataset, load_dataset, open_or_build
from index.encoder import Precision, open_encoder
from index.fusion import standardise
from index.local import CANDIDATES, LocalIndex
from index.models import DEFAULT_MODEL
from index.storage import ENCODER

Floats = npt.NDArray[np.floating]
Fuse = Callable[[Floats, Floats, Floats], Floats]
RRF_K = 60
PRECISIONS: tuple[Precision, ...] = ("int8", "float32")
WEIGHTS = (
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0),
    (1.0, 0.0, 0.5),
    (1.0, 1.0, 0.5),
    (1.0, 1.0, 0.75),
    (1.0, 1.0, 1.0),
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


def weighted(scale: Callable[[Floats], Floats], weights: tuple[float, float, float]) -> Fuse:
    """Return the fusion that adds the scaled scores with weights."""
    return lambda *arms: sum((w * scale(arm) for w, arm in zip(weights, arms, strict=True) if w), np.zeros(len(arms[0])))


def candidates(index: LocalIndex, dataset: Dataset) -> dict[str, tuple[list[str], Floats, Floats, Floats]]:
    """Return for each query the candidates' documents and their chunk, best-sentence and BM25 scores."""
    found = {}
    for key, text in dataset.queries.items():
        hits = index.search(text, 2 * CANDIDATES)
        columns = [(h.similarity, max(h.sentence_scores, default=0.0), h.lexical) for h in hits]
        chunk, sentence, lexical = np.array(columns, np.float64).T
        found[key] = ([h.chunk.passage.document for h in hits], chunk, sentence, lexical)
    return found


def ndcg(found: dict[str, tuple[list[str], Floats, Floats, Floats]], dataset: Dataset, fuse: Fuse) -> float:
    """Return nDCG@10 of one way of fusing."""
    run: dict[str, dict[str, float]] = {}
    for key, (documents, *arms) in found.items():
        best: dict[str, float] = {}
        for document, score in zip(documents, fuse(*arms).tolist(), strict=True):
            best[document] = max(score, best.get(document, score))
        run[key] = best
    return float(ir_measures.calc_aggregate([nDCG @ 10], dataset.qrels, run)[nDCG @ 10])


def main(arguments: Sequence[str]) -> int:
    """Print the table for the sets given as FOLDER:SPLIT."""
    columns = []
    for argument in arguments:
        folder, _, split = argument.rpartition(":")
        dataset = load_dataset(Path(folder), split)
        index = open_or_build(dataset, DEFAULT_MODEL, Path("build/eval"))
        for precision in PRECISIONS:
            encoder = open_encoder(index.folder / ENCODER, precision)
            columns.append(
                (f"{dataset.name} {precision}", dataset, candidates(LocalIndex(index.folder, index.manifest, encoder), dataset))
            )
    print(f"{'chunk + sentence + BM25':<34}" + "".join(f"{name:>17}" for name, _, _ in columns) + f"{'mean':>9}")
    for name, scale in (("standardised", standardise), ("min-max", min_max), ("reciprocal rank", reciprocal_rank)):
        for weights in WEIGHTS:
            values = [ndcg(found, dataset, weighted(scale, weights)) for _, dataset, found in columns]
            label = f"{name} {weights[0]:g} {weights[1]:g} {weights[2]:g}"
            print(f"{label:<34}" + "".join(f"{value:>17.4f}" for value in values) + f"{np.mean(values):>9.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
