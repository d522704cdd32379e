"""From a score to P(correct): what a fit gives each exit depth."""

import math
from dataclasses import dataclass

import numpy as np

from cascade.errors import PolicyError
from cascade.scores import Array


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

    def score_at(self, confidence: float) -> float:
        """The score from which on the confidence is at least so much; infinite beyond the ends."""
        if confidence <= self.confidences[0]:
            return -math.inf
        if confidence > self.confidences[-1]:
            return math.inf
        upper = int(np.searchsorted(self.confidences, confidence, side="left"))  # the start of a flat part
        low, high = self.confidences[upper - 1], self.confidences[upper]
        part = (confidence - low) / (high - low)
        return self.scores[upper - 1] + part * (self.scores[upper] - self.scores[upper - 1])
