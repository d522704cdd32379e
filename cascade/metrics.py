"""How good answers are, and what they cost. Scores are `(rows,)`, higher = surer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.scores import Array

NUM_QUANTILES = 21

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


def risk_coverage(score: Array, correct: Mask | Array, weight: Array | None = None) -> RiskCoverage:
    """The curve of accepting the surest rows first; rows of equal score stand or fall together.

    `correct` may also hold outcomes in [0, 1]; `weight` (rows,) says how much each row counts.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    weights = np.ones(len(score)) if weight is None else weight[order]
    errors = np.cumsum(weights * (1.0 - correct[order]))[ends]
    accepted = np.cumsum(weights)[ends]
    risk = np.divide(errors, accepted, out=np.zeros(len(ends)), where=accepted > 0)
    below = np.append(ranked[ends[:-1] + 1], -np.inf)
    return RiskCoverage(accepted / accepted[-1], risk, midway(ranked[ends], below))


def first_covering(curve: RiskCoverage, coverage: float) -> int:
    """The first point of the curve whose coverage is at least so much."""
    return min(int(np.searchsorted(curve.coverage, coverage - 1e-12)), len(curve.coverage) - 1)


def midway(upper: Array, lower: Array) -> Array:
    """Edges between neighbouring scores, above `lower` and at most `upper`: between adjacent doubles there is
    no middle, and `upper` itself it must be. An infinite neighbour stays infinite."""
    middle = (lower + upper) / 2
    return np.asarray(np.where((middle <= lower) & np.isfinite(lower), upper, middle), np.float64)


def aurc(score: Array, correct: Mask, weight: Array | None = None) -> float:
    """Area under the risk-coverage curve (Geifman et al. 2019): the mean, over k, of the risk of the
    k surest rows, rows of equal score standing in random order (its expectation)."""
    order = np.argsort(-score, kind="stable")
    weights = np.ones(len(score)) if weight is None else weight[order]
    _, first, counts = np.unique(-score[order], return_index=True, return_counts=True)
    mass = np.add.reduceat(weights, first)
    errors = np.add.reduceat(weights * ~correct[order], first)
    rate = np.divide(errors, mass, out=np.zeros(len(mass)), where=mass > 0)
    accepted = np.cumsum(weights)
    risk = np.cumsum(weights * np.repeat(rate, counts)) / np.where(accepted > 0, accepted, 1.0)
    return float(np.average(risk, weights=weights))


def auroc(inside: Array, outside: Array, weight: Array | None = None) -> float:
    """The chance that a row of `inside` scores above one of `outside`, equal scores counting half.
    `weight` is of the rows inside."""
    ranked = np.sort(outside)
    below = np.searchsorted(ranked, inside, "left") + np.searchsorted(ranked, inside, "right")
    return float(np.average(below / (2 * len(ranked)), weights=weight))


def selective_risk(accepted: Mask, correct: Mask, weight: Array | None = None) -> float:
    """Error rate among the accepted rows; 0 where none is accepted."""
    weights = accepted.astype(np.float64) if weight is None else weight * accepted
    total = weights.sum()
    return float((weights * ~correct).sum() / total) if total > 0 else 0.0


def cost_macs(exit_stage: NDArray[np.integer], stage_macs: Sequence[float]) -> float:
    """Mean MACs per row, for exits counted from 1."""
    return float(np.cumsum(stage_macs)[exit_stage - 1].mean())


def negative_log_likelihood(probabilities: Array, labels: NDArray[np.int64]) -> float:
    """Mean of `-log p(label)` over `(rows, classes)` probabilities, p floored at 1e-12."""
    return log_loss(probabilities[np.arange(len(labels)), labels])


def log_loss(label_probability: Array, weight: Array | None = None) -> float:
    """The negative log-likelihood of `(rows,)` probabilities of the true labels, floored at 1e-12."""
    return float(-np.average(np.log(np.maximum(label_probability, 1e-12)), weights=weight))


def event_log_loss(confidence: Array, event: Mask, weight: Array | None = None) -> float:
    """The negative log-likelihood of events under their confidences, kept 1e-9 from certainty."""
    chance = np.clip(confidence, 1e-9, 1 - 1e-9)
    return float(-np.average(np.where(event, np.log(chance), np.log1p(-chance)), weights=weight))


def brier(confidence: Array, correct: Mask, weight: Array | None = None) -> float:
    """Mean squared difference of P(correct) and correctness (Brier 1950)."""
    return float(np.average(np.square(confidence - correct), weights=weight))


def calibration_error(
    confidence: Array, correct: Mask, num_bins: int = 15, weight: Array | None = None
) -> float:
    """Expected calibration error (Naeini et al. 2015) over bins of about equal mass; equal confidences share
    a bin, so that the order of rows plays no part."""
    weights = np.ones(len(confidence)) if weight is None else weight
    edges = np.unique(np.quantile(confidence, np.arange(1, num_bins) / num_bins))
    bins = np.searchsorted(edges, confidence, side="right")
    gaps = np.bincount(bins, weights * (confidence - correct))
    return float(np.abs(gaps).sum() / weights.sum())


def score_quantiles(score: Array, weights: Array | None = None) -> list[float]:
    """Of the first stage's scores, at equal steps from the lowest to the highest; each is the score of a row.
    A server compares what it sees with them."""
    at = np.linspace(0, 1, NUM_QUANTILES)
    quantiles = np.quantile(score, at, weights=weights, method="inverted_cdf")
    return [float(quantile) for quantile in quantiles]
