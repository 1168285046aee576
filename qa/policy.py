"""When to answer and when to abstain, and every fixed sentence of ours that a reader sees.

The confidence is a first, honest estimate: a logistic function of the similarity between the question and the first
hit, fitted on labelled tuning questions for the default encoder (docs/retrieval.md says how and how well it holds).
For another encoder it is not calibrated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from index.lexical import has_common_words
from index.local import Hit
from qa.answer import Disclaimer, Reason

DISCLAIMER = Disclaimer(
    version="1",
    text=(
        "citewell quotes passages word for word and gives no advice of its own. The quotes are general information, not a "
        "diagnosis and no substitute for a doctor, nurse or pharmacist who can examine you. In an emergency call your "
        "local emergency number (for example 112, 911 or 999)."
    ),
)
ABSTENTION: dict[Reason, str] = {
    "off_topic": (
        "This question does not seem to be about what these passages cover, so nothing is quoted. "
        "Ask about the subject of the collection, in a few plain words."
    ),
    "not_covered": (
        "No passage here answers this question, so nothing is quoted. "
        "Try other words or a narrower question, or ask a health professional."
    ),
    "unclear": (
        "This question could not be understood, so nothing is quoted. "
        "Write it as a short sentence: what hurts, where, and what you want to know."
    ),
}

# Fitted by benchmarks/confidence.py on eval seed and pages, test splits of tuning sets (docs/retrieval.md).
SLOPE = 9.87
MIDDLE = 0.4693
ANSWER_FROM = 0.5
# Between the far questions of eval seed and pages (0.239 at most) and their answerable ones (0.273 at least).
OFF_TOPIC_BELOW = 0.25


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to answer: ``reason`` is None to answer; ``confidence`` is a probability, 0 to 1."""

    confidence: float
    reason: Reason | None


def decide(question: str, hits: Sequence[Hit]) -> Decision:
    """Decide from a question and its hits, best first."""
    similarity = evidence_strength(hits)
    confidence = round(1 / (1 + math.exp(-SLOPE * (similarity - MIDDLE))), 4)
    if confidence >= ANSWER_FROM:
        return Decision(confidence, None)
    if not has_common_words(question) and not any(hit.lexical > 0 for hit in hits):
        return Decision(confidence, "unclear")
    return Decision(confidence, "off_topic" if similarity < OFF_TOPIC_BELOW else "not_covered")


def evidence_strength(hits: Sequence[Hit]) -> float:
    """Return the similarity of the question to the first hit's chunk, 0 without hits: the first quote is judged, no other."""
    return hits[0].similarity if hits else 0.0
