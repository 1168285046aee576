"""Candidates and their scores to one ranking: pure functions, no index, no model.

Each arm's scores are scaled to 0..1 over the candidates (min-max) and added with weights. Score-normalised fusion keeps
how far apart two candidates are, which rank fusion throws away (Bruch, Gai & Ingber 2023, arXiv:2210.11934).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each kind of score counts; an arm of weight 0 is neither searched nor scored."""

    chunk: float
    sentence: float
    lexical: float


# Chosen on eval seed, eval pages and scifact train, by benchmarks/fusion.py (docs/retrieval.md).
HYBRID = Weights(chunk=1.0, sentence=1.0, lexical=0.75)
DENSE = Weights(chunk=1.0, sentence=0.0, lexical=0.0)
BM25 = Weights(chunk=0.0, sentence=0.0, lexical=1.0)


def min_max(scores: Floats) -> Floats:
    """Return the scores scaled to 0..1, shape kept; all equal scores become 0."""
    if not len(scores):
        return scores
    low, high = float(scores.min()), float(scores.max())
    if high <= low:
        return np.zeros_like(scores)
    return np.asarray((scores - low) / (high - low), np.float32)


def fuse(chunk: Floats, sentence: Floats, lexical: Floats, weights: Weights) -> Floats:
    """Return one score for each candidate, 0..1: the weighted mean of the min-max scaled scores, all of shape (n,)."""
    total = weights.chunk + weights.sentence + weights.lexical
    parts = ((weights.chunk, chunk), (weights.sentence, sentence), (weights.lexical, lexical))
    fused = sum((weight * min_max(scores) for weight, scores in parts if weight), np.zeros(len(chunk), np.float32))
    return np.asarray(fused / total, np.float32)
