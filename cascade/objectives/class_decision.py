"""The objective of one decision: is it this class, or not?"""

from dataclasses import dataclass

import numpy as np

from cascade.objectives.objective import Labels, Objective
from cascade.scores import CLASS_SCORE, Array
from cascade.window import Mask


@dataclass(frozen=True, kw_only=True)
class ClassDecision(Objective):
    """Is P(class) at least `threshold`? The score is P(class) itself, the threshold the same at every depth,
    so `accepted` is the decision, and `confidence` the chance that the row is of the class."""

    number: int
    threshold: float
    costs: tuple[float, float] | None = None

    @property
    def target(self) -> float:
        return self.threshold

    @property
    def name(self) -> str:
        return "decision"

    @property
    def is_lower_better(self) -> bool:
        return self.costs is not None

    @property
    def keeps_probabilities(self) -> bool:
        return True

    def score(self, asked: str) -> str:
        return f"{CLASS_SCORE}{self.number}"

    def outcomes(self, score: Array, label: Labels, truth: Labels) -> Array:
        positive = score >= self.threshold
        if self.costs is None:
            return np.asarray(positive == positive[-1], np.float64)
        false_positive, false_negative = self.costs
        is_class = truth == self.number
        cost = positive * ~is_class * false_positive + ~positive * is_class * false_negative
        return np.asarray(1.0 - cost / max(self.costs))

    def events(self, label: Labels, truth: Labels) -> Mask:
        return np.broadcast_to(truth == self.number, label.shape)

    def accept_above(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        return self.threshold

    def value(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        """Share of decisions that agree with the full ensemble's, or the mean cost per row."""
        mean = float(np.average(outcome, weights=weight))
        return mean if self.costs is None else (1.0 - mean) * max(self.costs)

    def gain(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        return float(np.average(outcome, weights=weight))
