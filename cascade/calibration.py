"""From a score to P(correct): monotone calibration of one exit depth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from cascade.errors import PolicyError
from cascade.scores import Array

MAX_BINS = 20
ROWS_PER_BIN = 25


@dataclass(frozen=True)
class Calibrator:
    """Piecewise linear between its knots, constant beyond them. Both sequences never decrease."""

    scores: tuple[float, ...]
    confidences: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.scores or len(self.scores) != len(self.confidences):
            raise PolicyError(
                f"calibrator has {len(self.scores)} scores and {len(self.confidences)} confidences"
            )
        for name, values in (("scores", self.scores), ("confidences", self.confidences)):
            if not np.isfinite(values).all() or (np.diff(values) < 0).any():
                raise PolicyError(f"calibrator's {name} must be finite and never decrease")
        if min(self.confidences) < 0 or max(self.confidences) > 1:
            raise PolicyError("calibrator's confidences must lie in [0, 1]")

    def __call__(self, score: Array) -> Array:
        return np.interp(score, self.scores, self.confidences)


def fit_calibrator(score: Array, correct: NDArray[np.bool_]) -> Calibrator | None:
    """Isotonic regression of correctness on score over bins of equal mass; None without rows.

    Bins, with half a success and half a failure added to each, keep the ends from claiming
    certainty that a handful of rows cannot support.
    """
    if len(score) == 0:
        return None
    num_bins = int(np.clip(len(score) // ROWS_PER_BIN, 1, MAX_BINS))
    edges = np.quantile(score, np.arange(1, num_bins) / num_bins)
    numbers = np.searchsorted(np.unique(edges), score, side="right")  # equal scores share a bin
    bins = [rows for rows in (np.flatnonzero(numbers == number) for number in range(num_bins)) if len(rows)]
    centres = np.array([score[rows].mean() for rows in bins])
    rates = np.array([(correct[rows].sum() + 0.5) / (len(rows) + 1) for rows in bins])
    weights = np.array([len(rows) for rows in bins], np.float64)
    fitted = isotonic_regression(rates, weights=weights).x
    return Calibrator(tuple(centres.tolist()), tuple(fitted.tolist()))
