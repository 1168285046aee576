"""Fits and checks the confidence of qa/policy.py: is the first quote right, told from the best similarity alone?

    python -m benchmarks.confidence ../shared/eval/seed ../shared/eval/pages

Give tuning sets only: folders with queries, qrels and unanswerable.tsv. A question counts as answered right when the first
hit's document has grade 2. Prints the logistic fit over all sets, and for each set AUROC and what the threshold does.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from evaluate import load_dataset, open_or_build
from index.local import LocalIndex
from index.models import DEFAULT_MODEL
from qa.answerer import DEFAULT_TOP_K, HITS_PER_QUOTE
from qa.policy import ANSWER_FROM, MIDDLE, SLOPE, decide, evidence_strength

ANSWERS = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: the strength of its evidence, whether it has an answer, whether the first hit is it, if answered."""

    strength: float
    answerable: bool
    right: bool
    answered: bool


def ask_all(folder: Path) -> list[Asked]:
    """Ask every answerable and unanswerable question of a set."""
    dataset = load_dataset(folder, "test")
    index = open_or_build(dataset, DEFAULT_MODEL, Path("build/eval"))
    asked = [_ask(index, text, dataset.qrels[key]) for key, text in dataset.queries.items()]
    lines = (folder / "unanswerable.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return asked + [_ask(index, line.split("\t")[1], None) for line in lines]


def _ask(index: LocalIndex, question: str, grades: dict[str, int] | None) -> Asked:
    hits = index.search(question, DEFAULT_TOP_K * HITS_PER_QUOTE)
    right = grades is not None and grades.get(hits[0].chunk.passage.document, 0) >= ANSWERS
    return Asked(evidence_strength(hits), grades is not None, right, decide(question, hits).reason is None)


def main(arguments: Sequence[str]) -> int:
    """Print the fit over all sets given, and each set's figures."""
    sets = {folder: ask_all(Path(folder)) for folder in arguments}
    rows = [row for asked in sets.values() for row in asked]
    fit = LogisticRegression(C=1e6).fit([[row.strength] for row in rows], [row.right for row in rows])
    slope = float(fit.coef_[0][0])
    print(f"fit: slope {slope:.2f}, middle {-float(fit.intercept_[0]) / slope:.4f}; in policy.py {SLOPE}, {MIDDLE}")
    for folder, asked in sets.items():
        answerable = [row for row in asked if row.answerable]
        others = [row for row in asked if not row.answerable]
        auroc = roc_auc_score([row.answerable for row in asked], [row.strength for row in asked])
        print(
            f"{Path(folder).name}: AUROC {auroc:.3f}; from confidence {ANSWER_FROM} on, "
            f"{np.mean([row.answered for row in answerable]):.0%} of {len(answerable)} answerable and "
            f"{np.mean([row.answered for row in others]):.0%} of {len(others)} unanswerable questions are answered"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
