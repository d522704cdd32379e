"""The objective of telling out-of-distribution rows from the others."""

import math
from dataclasses import dataclass, replace

import numpy as np

from cascade.metrics import first_covering, risk_coverage
from cascade.objectives.objective import OUT_OF_DISTRIBUTION, Labels, Objective, Others
from cascade.objectives.selective import share_left
from cascade.policy import ACCEPT_NONE
from cascade.scores import Array
from cascade.window import Mask


@dataclass(frozen=True, kw_only=True)
class FprAtTpr(Objective):
    """The share of out-of-distribution rows accepted where the share `tpr` of the others is (Hendrycks &
    Gimpel 2017). An outcome is 1 in distribution; the cost counts only such rows."""

    tpr: float

    @property
    def target(self) -> float:
        return self.tpr

    @property
    def uses_ood(self) -> bool:
        return True

    def outcomes(self, score: Array, label: Labels, truth: Labels) -> Array:
        return np.broadcast_to(truth != OUT_OF_DISTRIBUTION, label.shape).astype(np.float64)

    def events(self, label: Labels, truth: Labels) -> Mask:
        return np.broadcast_to(truth != OUT_OF_DISTRIBUTION, label.shape)

    def traffic(self, truth: Labels) -> Array:
        return np.asarray(truth != OUT_OF_DISTRIBUTION, np.float64)

    def accept_above(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        """From in-distribution rows alone."""
        inside = np.asarray(outcome, np.bool_)
        if not inside.any() or self.tpr == 0:
            return ACCEPT_NONE
        curve = risk_coverage(rank[inside], outcome[inside], None if weight is None else weight[inside])
        return float(curve.thresholds[first_covering(curve, self.tpr)])

    def for_rest(self, outcome: Array, weight: Array, others: Others) -> Objective:
        inside, left = weight * outcome, others.weight * others.outcome
        return replace(self, tpr=share_left(self.tpr, inside, left, others.accepted))

    def value(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        return self._fpr(rank, outcome, weight, self.tpr)

    def gain(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        nearby = (self.tpr - 0.02, self.tpr - 0.01, self.tpr, min(self.tpr + 0.01, 1.0))
        return -float(np.mean([self._fpr(rank, outcome, weight, tpr) for tpr in nearby]))

    def _fpr(self, rank: Array, outcome: Mask | Array, weight: Array | None, tpr: float) -> float:
        inside = np.asarray(outcome, np.bool_)
        weights = np.ones(len(rank)) if weight is None else weight
        if not inside.any() or weights[~inside].sum() == 0:
            return math.nan
        curve = risk_coverage(rank[inside], outcome[inside], weights[inside])
        accepted = rank >= curve.thresholds[first_covering(curve, tpr)]
        return float(np.average(accepted[~inside], weights=weights[~inside]))
