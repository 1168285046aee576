"""Which sentences of a quote answer: at most two that stand side by side.

Of each pair of neighbours we ask how well they cover the question's words together (index/tokens.py), and how well the
weaker one does alone, so that no sentence rides on its neighbour. A question that asks how something is done is answered by
a procedure, and is shown its first steps. Which quotes are shown is evidence.py's business.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from corpus.passage import Span
from index.ranking import Sentence

# Chosen on eval seed, by benchmarks/highlight.py (docs/retrieval.md): how much the weaker sentence's own coverage and the
# sentences' similarity count, the most words of a pair, and from how many words on a first step is shown alone.
WEAKER, SIMILARITY = 0.5, 0.05
PAIR_WORDS = 70
STEP_WORDS = 30
# A passage tells a procedure where at least this share of its sentences, and two at least, begin with an order.
PROCEDURE = 0.5
_ASKS_HOW = re.compile(
    r"\W*(?:so\s+)?how\s+(?:do|can|should|would|to)\b|\W*what(?:'s|\s+is)\s+the\s+(?:best\s+)?way\s+to\b", re.IGNORECASE
)
_ORDER = re.compile(
    r"\W*(?:\d+[.)]\s*)?(?:how to:?\s*)?(?:(?:slowly|gently|then|next|now|first|finally|from here|to begin|to start)\W+)?"
    r"(?:apply|ask|avoid|begin|bend|breathe|bring|call|clasp|come|cross|do|drop|engage|exhale|extend|flex|get|grab|hold|inhale|"
    r"keep|kneel|lay|lean|lie|lift|lower|make|move|place|point|press|pull|push|put|raise|reach|relax|release|repeat|rest|"
    r"return|roll|rotate|set|shift|sit|slide|squeeze|stand|start|stay|step|stretch|switch|take|tighten|tilt|try|tuck|turn|"
    r"use|walk|wear)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence with its text, its scores for the question and how well it covers the question's words, 0 to 1."""

    sentence: Sentence
    text: str
    coverage: float

    @property
    def words(self) -> int:
        """The number of words."""
        return len(self.text.split())


def answering_sentences(
    question: str, text: str, sentences: Sequence[Sentence], weights: np.ndarray | None
) -> tuple[Span, ...]:
    """Return the ranges of the sentences that answer, in order: one, or two side by side; none where there is none.

    ``text`` is what the ranges count in; ``weights`` are those of the question's words, None where words are not scored.
    """
    candidates = [Candidate(s, text[s.span.start : s.span.end], coverage(s, weights)) for s in sentences]
    if not candidates:
        return ()
    steps = first_steps(question, candidates)
    return tuple(c.sentence.span for c in steps or best_pair(candidates, weights))


def coverage(sentence: Sentence, weights: np.ndarray | None) -> float:
    """Return how well a sentence covers the question's words; its similarity where words are not scored."""
    return sentence.similarity if weights is None else float(weights @ sentence.word_scores)


def first_steps(question: str, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the first steps of a procedure for a question that asks how, none for any other."""
    orders = [candidate for candidate in candidates if _ORDER.match(candidate.text)]
    if not _ASKS_HOW.match(question) or len(orders) < max(2, PROCEDURE * len(candidates)):
        return ()
    at = candidates.index(orders[0])
    return tuple(candidates[at : at + (1 if orders[0].words >= STEP_WORDS else 2)])


def best_pair(candidates: Sequence[Candidate], weights: np.ndarray | None) -> tuple[Candidate, ...]:
    """Return the two neighbours that cover the question best together, the best sentence alone where any two are too long."""
    pairs = [(a, b) for a, b in pairwise(candidates) if a.words + b.words <= PAIR_WORDS]
    if not pairs:
        return (max(candidates, key=lambda candidate: candidate.coverage),)
    return max(pairs, key=lambda pair: _together(pair[0], pair[1], weights))


def _together(first: Candidate, second: Candidate, weights: np.ndarray | None) -> float:
    similarity = (first.sentence.similarity + second.sentence.similarity) / 2
    if weights is None:
        return similarity
    both = float(weights @ np.maximum(first.sentence.word_scores, second.sentence.word_scores))
    return both + WEAKER * min(first.coverage, second.coverage) + SIMILARITY * similarity
