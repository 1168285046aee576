"""When to answer and when to abstain, and every fixed sentence of ours that a reader sees.

The decision is one comparison: the strength of the evidence for the first hit against the strength from which the accepted
share of unanswerable questions gets through, as the index was calibrated when it was built (index/confidence.py). The
accepted share is the operator's one knob.
"""

import math
from dataclasses import dataclass, field

from index.confidence import Calibration, strength
from index.ranking import Ranking
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
    "off_topic": "This question does not seem to be about what these passages cover, so nothing is quoted.",
    "not_covered": "No passage here answers this question, so nothing is quoted.",
    "unclear": "This question could not be understood, so nothing is quoted.",
}
ADVICE: dict[Reason, str] = {
    "off_topic": "Ask about the subject of the collection, in a few plain words.",
    "not_covered": (
        "Try other words, or ask about one thing at a time: what it is, what causes it, what helps. "
        "A health professional can answer what these passages do not."
    ),
    "unclear": "Write it as a short sentence: what hurts, where, and what you want to know.",
}

# The share of questions without an answer in the corpus that may be answered all the same.
ACCEPTED_WRONG = 0.05
# A question is off topic when it is less like anything in the corpus than this share of the questions on its own subject.
UNRELATED_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to answer: ``reason`` is None to answer; ``confidence`` is a probability, 0 to 1."""

    confidence: float
    reason: Reason | None


class PolicyError(ValueError):
    """The accepted share of wrong answers is no share."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How one index is answered from: its calibration, and the share of unanswerable questions that may get through."""

    calibration: Calibration
    accepted_wrong: float = ACCEPTED_WRONG
    threshold: float = field(init=False)
    related_from: float = field(init=False)

    def __post_init__(self) -> None:
        """Raise PolicyError unless the accepted share lies above 0 and below 1, and reckon both thresholds once."""
        if not 0 < self.accepted_wrong < 1:
            raise PolicyError(f"the accepted share of wrong answers is {self.accepted_wrong}; it must lie above 0 and below 1")
        object.__setattr__(self, "threshold", self.calibration.threshold(self.accepted_wrong))
        object.__setattr__(self, "related_from", self.calibration.unrelated_below(UNRELATED_SHARE))

    def decide(self, ranking: Ranking, *, understood: bool) -> Decision:
        """Decide from what was found: the first hit is judged; ``understood`` says that a word of the question is known.

        Filters leave a question's subject what it is: off topic is what is unlike anything in the whole corpus.
        """
        found = strength(ranking, ranking.hits[0]) if ranking.hits else -math.inf
        confidence = round(self.calibration.confidence(found), 4) if ranking.hits else 0.0
        if found >= self.threshold:
            return Decision(confidence, None)
        if not understood:
            return Decision(confidence, "unclear")
        unlike = not ranking.unfiltered or ranking.nearest_anywhere < self.related_from
        return Decision(confidence, "off_topic" if unlike else "not_covered")
