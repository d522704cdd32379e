"""Monotone calibration of one exit depth, from scores and whether rows were right."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, ndtri

from cascade.calibrator import Calibrator
from cascade.scores import Array

Mask = NDArray[np.bool_]

MAX_BINS = 20
ROWS_PER_BIN = 25
MAX_KNOTS = 65
FOLDS = 3
NEWTON_STEPS = 30


def fit_calibrator(score: Array, event: Mask | Array, weight: Array | None = None) -> Calibrator | None:
    """The better of isotonic and logistic calibration; None without rows."""
    if len(score) == 0:
        return None
    return METHODS[better_method(score, event, weight)](score, event, weight)


def better_method(score: Array, event: Mask | Array, weight: Array | None = None) -> str:
    """The name of the calibration with the better cross-validated likelihood.

    The negative log likelihood is a proper score: unlike the expected calibration error, it cannot be
    won by a calibrator that tells no rows apart.
    """
    weights = np.ones(len(score)) if weight is None else weight
    return min(METHODS, key=lambda name: _held_out_loss(METHODS[name], score, event, weights))


def isotonic(score: Array, event: Mask | Array, weight: Array | None = None) -> Calibrator:
    """Centred isotonic regression (Oron & Flournoy 2017) over bins of equal mass.

    Each run of pooled bins becomes one knot at its centre, so between knots the confidence rises strictly
    and rows keep their order. Bins, with half a success and half a failure added to each, keep the ends
    from claiming certainty that a handful of rows cannot support.
    """
    weights = np.ones(len(score)) if weight is None else weight
    bins = _bins(score)
    mass, rows = np.bincount(bins, weights), np.bincount(bins)
    filled = rows > 0
    mass, rows = mass[filled], rows[filled]
    centres = np.bincount(bins, weights * score)[filled] / mass
    rates = np.bincount(bins, weights * event)[filled] / mass
    rates = (rates * rows + 0.5) / (rows + 1)
    fitted = isotonic_regression(rates, weights=mass)
    runs = np.repeat(np.arange(len(fitted.blocks) - 1), np.diff(fitted.blocks))
    knots = np.bincount(runs, mass * centres) / np.bincount(runs, mass)
    return _spanning(score, knots, fitted.x[fitted.blocks[:-1]])


def logistic(score: Array, event: Mask | Array, weight: Array | None = None) -> Calibrator:
    """Platt's sigmoid (1999) of the score's rank, with his prior on the targets; knots lie on quantiles.

    Ranks make one curve fit every score, be it in [0, 1] or unbounded.
    """
    weights = np.ones(len(score)) if weight is None else weight
    knots = np.unique(np.quantile(score, np.linspace(0, 1, MAX_KNOTS)))
    ranks = np.searchsorted(np.sort(score), knots, side="left") / len(score)
    ranks = (ranks + np.searchsorted(np.sort(score), knots, side="right") / len(score)) / 2
    feature = ndtri(np.clip(ranks, 0.5 / len(score), 1 - 0.5 / len(score)))
    slope, intercept = _sigmoid_fit(np.interp(score, knots, feature), event, weights)
    return _rising(knots, expit(slope * feature + intercept))


METHODS: dict[str, Callable[[Array, Mask | Array, Array | None], Calibrator]] = {
    "isotonic": isotonic,
    "logistic": logistic,
}


def _bins(score: Array) -> NDArray[np.intp]:
    """Bins of about equal numbers of rows; equal scores share a bin."""
    num_bins = int(np.clip(len(score) // ROWS_PER_BIN, 1, MAX_BINS))
    edges = np.quantile(score, np.arange(1, num_bins) / num_bins)
    return np.searchsorted(np.unique(edges), score, side="right")


def _spanning(score: Array, knots: Array, confidences: Array) -> Calibrator:
    """Knots carried on to the ends of the scores, a tenth nearer to certainty, so that no end is flat."""
    low, high = float(score.min()), float(score.max())
    if low < knots[0]:
        knots, confidences = np.r_[low, knots], np.r_[confidences[0] * 0.9, confidences]
    if high > knots[-1]:
        last = confidences[-1] + (1 - confidences[-1]) * 0.1
        knots, confidences = np.r_[knots, high], np.r_[confidences, last]
    return _rising(knots, confidences)


def _rising(knots: Array, confidences: Array) -> Calibrator:
    return Calibrator(tuple(knots.tolist()), tuple(np.maximum.accumulate(confidences).tolist()))


def _sigmoid_fit(feature: Array, event: Mask | Array, weights: Array) -> tuple[float, float]:
    """Slope (never negative) and intercept by Newton's method on Platt's smoothed targets."""
    positives, total = float((weights * event).sum()), float(weights.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (total - positives + 2)
    target = np.where(np.asarray(event, np.bool_), high, low)
    slope, intercept = 0.0, math.log(high / (1 - high)) if positives == total else 0.0
    for _ in range(NEWTON_STEPS):
        chance = expit(slope * feature + intercept)
        residual, curvature = weights * (chance - target), weights * chance * (1 - chance)
        gradient = np.array([(residual * feature).sum(), residual.sum()])
        cross = (curvature * feature).sum()
        hessian = np.array([[(curvature * feature**2).sum(), cross], [cross, curvature.sum()]])
        step = np.linalg.solve(hessian + 1e-9 * total * np.eye(2), gradient)
        slope, intercept = slope - float(step[0]), intercept - float(step[1])
        if np.abs(step).max() < 1e-9:
            break
    return max(slope, 0.0), intercept


def _held_out_loss(
    method: Callable[[Array, Mask | Array, Array | None], Calibrator],
    score: Array,
    event: Mask | Array,
    weights: Array,
) -> float:
    """Weighted negative log likelihood over interleaved folds; too few rows tell nothing (infinite)."""
    folds = np.arange(len(score)) % FOLDS
    if len(score) < FOLDS * 2:
        return math.inf
    loss = 0.0
    for fold in range(FOLDS):
        kept, held = folds != fold, folds == fold
        chance = method(score[kept], event[kept], weights[kept])(score[held])
        chance = np.clip(chance, 1e-9, 1 - 1e-9)
        loss -= float((weights[held] * np.where(event[held], np.log(chance), np.log1p(-chance))).sum())
    return loss
