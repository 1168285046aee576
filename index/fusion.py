"""Candidates and their scores to one ranking: pure functions, no index, no model.

Each kind of score is standardised over the candidates (mean 0, standard deviation 1) and added with weights. Score
fusion keeps how far apart two candidates are, which rank fusion throws away (Bruch, Gai & Ingber 2023, arXiv:2210.11934).
The best of this first ranking are ranked again with a fourth kind, the coverage of the question's words (tokens.py).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each kind of score counts; an arm of weight 0 puts no candidates forward and adds nothing."""

    chunk: float
    sentence: float
    lexical: float
    words: float


# Chosen on eval seed, eval pages and scifact train, by benchmarks/fusion.py (docs/retrieval.md).
HYBRID = Weights(chunk=1.0, sentence=1.0, lexical=0.25, words=1.0)
DENSE = Weights(chunk=1.0, sentence=0.0, lexical=0.0, words=0.0)
BM25 = Weights(chunk=0.0, sentence=0.0, lexical=1.0, words=0.0)


def standardise(scores: Floats) -> Floats:
    """Return the scores with mean 0 and standard deviation 1, shape kept; scores that are all equal become 0."""
    if not len(scores):
        return scores
    exact = scores.astype(np.float64)
    spread = float(exact.std())
    # Equal float32 scores can differ in the mean's last digits; such a spread says nothing.
    if spread <= 1e-6 * max(1.0, float(np.abs(exact).max())):
        return np.zeros_like(exact)
    standard: Floats = (exact - exact.mean()) / spread
    return standard


def fuse(weights: Weights, *, chunk: Floats, sentence: Floats, lexical: Floats) -> Floats:
    """Return the first ranking's scores, all arrays of shape (n,): the standardised scores, weighted and added."""
    parts = ((weights.chunk, chunk), (weights.sentence, sentence), (weights.lexical, lexical))
    fused: Floats = sum((weight * standardise(scores) for weight, scores in parts if weight), np.zeros(len(chunk)))
    return fused


def rank_again(weights: Weights, first: Floats, pool: npt.NDArray[np.int64], coverage: Floats) -> Floats:
    """Return the final scores, shape (n,): the first ranking's, with the standardised coverage of the candidates in the pool.

    ``pool`` holds the positions of the best candidates of the first ranking and ``coverage``, shape (pool,), their coverage;
    the other candidates count as covering the question as badly as the worst of the pool, so none of them overtakes one.
    """
    final = first.copy()
    if weights.words and len(pool):
        added = weights.words * standardise(coverage)
        final += added.min()
        final[pool] += added - added.min()
    return final


def squash(weights: Weights, scores: Floats) -> Floats:
    """Return scores as a weighted mean squashed into 0..1 by the logistic function: 0.5 is an average candidate."""
    total = weights.chunk + weights.sentence + weights.lexical + weights.words
    squashed: Floats = 1 / (1 + np.exp(-scores / total))
    return squashed
