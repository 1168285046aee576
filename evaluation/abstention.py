"""How well the confidence tells questions the corpus answers from those it does not.

With n questions in order of falling confidence and e(i) = 1 where the i-th has no answer in the corpus:

    AUROC = P(confidence of an answerable question > that of an unanswerable one), ties counting half
    AURC  = 1/n * sum over k of (e(1) + ... + e(k)) / k            (Geifman, Uziel & El-Yaniv 2019, arXiv:1805.08206)
    coverage at 5 % risk = the largest share of answerable questions answered by one threshold that lets through
                           at most 5 % of the unanswerable ones

Beside these stands what the build's own calibration does, which has seen no label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from index.local import LocalIndex
from qa.answerer import JUDGED_HITS, Answerer

RISK = 0.05


@dataclass(frozen=True, slots=True)
class AbstentionReport:
    """The measures above, and at the accepted rate the shares answered and the unanswerable questions that were, by name."""

    auroc: float
    aurc: float
    coverage: float
    accepted: float
    answerable_answered: float
    unanswerable_answered: float
    answered_in_vain: tuple[str, ...]
    declined: tuple[str, ...]


def assess_abstention(
    index: LocalIndex, answerable: Sequence[str], unanswerable: Sequence[str], *, accepted: float
) -> AbstentionReport:
    """Ask both kinds of question and report; ``accepted`` is the operator's accepted rate of wrong answers."""
    policy = Answerer(index, accepted_wrong=accepted).policy
    decisions = {
        question: policy.decide(index.search(index.reword(question), JUDGED_HITS), understood=index.understands(question))
        for question in (*answerable, *unanswerable)
    }
    good = np.array([decisions[question].confidence for question in answerable])
    bad = np.array([decisions[question].confidence for question in unanswerable])
    in_vain = tuple(question for question in unanswerable if decisions[question].reason is None)
    declined = tuple(question for question in answerable if decisions[question].reason is not None)
    return AbstentionReport(
        auroc=float(roc_auc_score([1] * len(good) + [0] * len(bad), np.concatenate([good, bad]))),
        aurc=aurc(good, bad),
        coverage=coverage_at(good, bad, RISK),
        accepted=accepted,
        answerable_answered=1 - len(declined) / len(answerable),
        unanswerable_answered=len(in_vain) / len(unanswerable),
        answered_in_vain=in_vain,
        declined=declined,
    )


def aurc(answerable: np.ndarray, unanswerable: np.ndarray) -> float:
    """Return the area under the risk-coverage curve; at equal confidence the unanswerable come first."""
    confidence = np.concatenate([unanswerable, answerable])
    wrong = np.concatenate([np.ones(len(unanswerable)), np.zeros(len(answerable))])
    ordered = wrong[np.argsort(-confidence, kind="stable")]
    return float(np.mean(np.cumsum(ordered) / np.arange(1, len(ordered) + 1)))


def coverage_at(answerable: np.ndarray, unanswerable: np.ndarray, risk: float) -> float:
    """Return the share of answerable questions above a threshold that lets through at most ``risk`` of the others."""
    allowed = int(risk * len(unanswerable) + 1e-9)
    highest = np.sort(unanswerable)[::-1]
    threshold = highest[allowed] if allowed < len(highest) else -np.inf
    return float(np.mean(answerable > threshold))


def render(report: AbstentionReport) -> str:
    """Return the report as text, the unanswerable questions that were answered by name."""
    lines = [
        f"abstention: AUROC {report.auroc:.4f}  AURC {report.aurc:.4f}  coverage at {RISK:.0%} risk {report.coverage:.1%}",
        f"as the build calibrated itself, accepted rate {report.accepted:.0%}: answers {report.answerable_answered:.1%} of "
        f"the answerable, {report.unanswerable_answered:.1%} of the unanswerable",
        *(f"  answered in vain: {question}" for question in report.answered_in_vain),
        *(f"  declined: {question}" for question in report.declined),
    ]
    return "\n".join(lines)
