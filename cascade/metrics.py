"""How good answers are, and what they cost. Scores are `(rows,)`, higher = surer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.scores import Array

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RiskCoverage:
    """The risk-coverage curve, one point per distinct score, coverage ascending.

    `thresholds[i]` accepts exactly the rows of point i: it lies midway between the last accepted score
    and the first rejected one, so that last-bit differences flip no row; the last one is -inf.
    """

    coverage: Array
    risk: Array
    thresholds: Array


def risk_coverage(score: Array, correct: Mask) -> RiskCoverage:
    """The curve of accepting the surest rows first; rows of equal score stand or fall together."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    errors = np.cumsum(~correct[order])[ends]
    accepted = ends + 1
    below = np.append(ranked[ends[:-1] + 1], -np.inf)
    return RiskCoverage(accepted / len(score), errors / accepted, midway(ranked[ends], below))


def midway(upper: Array, lower: Array) -> Array:
    """Edges between neighbouring scores, above `lower` and at most `upper`: between adjacent doubles there is
    no middle, and `upper` itself it must be. An infinite neighbour stays infinite."""
    middle = (lower + upper) / 2
    return np.asarray(np.where((middle <= lower) & np.isfinite(lower), upper, middle), np.float64)


def aurc(score: Array, correct: Mask) -> float:
    """Area under the risk-coverage curve (Geifman et al. 2019): the mean, over k, of the risk of the
    k surest rows, rows of equal score standing in random order (its expectation)."""
    order = np.argsort(-score, kind="stable")
    _, first, counts = np.unique(-score[order], return_index=True, return_counts=True)
    errors = np.add.reduceat((~correct[order]).astype(np.float64), first)
    expected = np.repeat(errors / counts, counts)
    return float((np.cumsum(expected) / np.arange(1, len(score) + 1)).mean())


def selective_risk(accepted: Mask, correct: Mask) -> float:
    """Error rate among the accepted rows; 0 where none is accepted."""
    return float((~correct[accepted]).mean()) if accepted.any() else 0.0


def cost_macs(exit_stage: NDArray[np.integer], stage_macs: Sequence[float]) -> float:
    """Mean MACs per row, for exits counted from 1."""
    return float(np.cumsum(stage_macs)[exit_stage - 1].mean())


def negative_log_likelihood(probabilities: Array, labels: NDArray[np.int64]) -> float:
    """Mean of `-log p(label)`, p floored at 1e-12."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def brier(confidence: Array, correct: Mask) -> float:
    """Mean squared difference of P(correct) and correctness (Brier 1950)."""
    return float(np.square(confidence - correct).mean())
