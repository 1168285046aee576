"""How well the confidence tells what a corpus answers: the build's own calibration beside a threshold that sees the labels.

    python -m benchmarks.confidence ../shared/eval/seed ../shared/eval/pages

Give tuning sets: folders with queries, qrels and unanswerable.tsv (kind, question). Prints the measures of
evaluation/abstention.py, the AUROC of each part of the strength by itself, and how often a confidence comes true.
"""

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from evaluate import open_or_build
from evaluation.abstention import assess_abstention, render
from evaluation.dataset import Dataset, load_dataset, read_unanswerable
from index.confidence import Calibration, strength
from index.local import LocalIndex
from index.models import DEFAULT_MODEL
from index.ranking import Ranking
from qa.answerer import JUDGED_HITS
from qa.policy import ACCEPTED_WRONG

ANSWERS = 2  # the grade of a document that answers
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PARTS: dict[str, Callable[[Ranking], float]] = {
    "strength": lambda ranking: strength(ranking, ranking.hits[0]),
    "best similarity": lambda ranking: ranking.nearest,
    "first hit's similarity": lambda ranking: ranking.hits[0].similarity,
    "first hit's best sentence": lambda ranking: ranking.hits[0].sentence,
    "first hit's coverage": lambda ranking: _coverage(ranking),
    "first hit's BM25": lambda ranking: ranking.hits[0].lexical,
}


def _coverage(ranking: Ranking) -> float:
    words = ranking.query.words
    return float(words.weights @ np.array(ranking.hits[0].word_scores)) if words else 0.0


def print_parts(answerable: Sequence[Ranking], unanswerable: Sequence[Ranking]) -> None:
    """Print the AUROC of each part of the strength."""
    labels = [1] * len(answerable) + [0] * len(unanswerable)
    for name, part in PARTS.items():
        values = [part(ranking) for ranking in (*answerable, *unanswerable)]
        print(f"  AUROC {roc_auc_score(labels, values):.3f}  {name}")


def print_reliability(index: LocalIndex, dataset: Dataset, unanswerable: Sequence[Ranking], found: dict[str, Ranking]) -> None:
    """Print, for each fifth of the confidence, its mean and how often the first hit's document answers."""
    calibration = Calibration.load(index.folder)
    pairs = [(ranking, dataset.qrels[key].get(ranking.hits[0].chunk.passage.document, 0)) for key, ranking in found.items()]
    pairs += [(ranking, 0) for ranking in unanswerable]
    confidence = np.array([calibration.confidence(strength(ranking, ranking.hits[0])) for ranking, _ in pairs])
    right = np.array([grade >= ANSWERS for _, grade in pairs])
    for low, high in pairwise(BINS):
        own = (confidence >= low) & (confidence < high)
        if own.any():
            print(f"  confidence {confidence[own].mean():.2f} came true in {right[own].mean():.2f} of {int(own.sum())}")


def main(arguments: Sequence[str]) -> int:
    """Print the report for every set given."""
    for folder in map(Path, arguments):
        dataset = load_dataset(folder, "test")
        index = open_or_build(dataset, DEFAULT_MODEL, Path("build/eval"))
        questions = [question for _, question in read_unanswerable(folder / "unanswerable.tsv")]
        print(dataset.name)
        print(render(assess_abstention(index, list(dataset.queries.values()), questions, accepted=ACCEPTED_WRONG)))
        found = {key: index.search(index.reword(text), JUDGED_HITS) for key, text in dataset.queries.items()}
        unanswerable = [index.search(index.reword(text), JUDGED_HITS) for text in questions]
        print_parts(list(found.values()), unanswerable)
        print_reliability(index, dataset, unanswerable, found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
