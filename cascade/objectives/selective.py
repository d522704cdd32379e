"""Objectives of accepting and rejecting: coverage at a risk, risk at a coverage, accuracy."""

import math
from dataclasses import dataclass, replace

import numpy as np

from cascade.metrics import RiskCoverage, first_covering, risk_coverage
from cascade.objectives.objective import OUT_OF_DISTRIBUTION, Labels, Objective, Others
from cascade.policy import ACCEPT_ALL, ACCEPT_NONE
from cascade.scores import Array
from cascade.window import Mask


@dataclass(frozen=True, kw_only=True)
class SelectiveObjective(Objective):
    """Accept or reject by rank; wrong and out-of-distribution rows are errors where accepted."""

    ood: float = 0.0

    @property
    def uses_ood(self) -> bool:
        return self.ood > 0

    def weights(self, truth: Labels) -> Array:
        if not self.ood:
            return np.ones(len(truth))
        is_ood = truth == OUT_OF_DISTRIBUTION
        inside, outside = (1 - self.ood) / (~is_ood).sum(), self.ood / is_ood.sum()
        return np.asarray(np.where(is_ood, outside, inside) * len(truth), np.float64)

    def traffic(self, truth: Labels) -> Array:
        return self.weights(truth)


@dataclass(frozen=True, kw_only=True)
class CoverageAtRisk(SelectiveObjective):
    risk: float

    @property
    def target(self) -> float:
        return self.risk

    @property
    def can_certify(self) -> bool:
        return not self.ood

    @property
    def is_lower_better(self) -> bool:
        return False

    def accept_above(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        if len(rank) == 0:
            return ACCEPT_NONE
        curve = risk_coverage(rank, outcome, weight)
        within = np.flatnonzero(curve.risk <= self.risk)
        return float(curve.thresholds[within[-1]]) if len(within) else ACCEPT_NONE

    def value(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        return _coverage_at(risk_coverage(rank, outcome, weight), self.risk)

    def gain(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        curve = risk_coverage(rank, outcome, weight)
        return float(
            np.mean([_coverage_at(curve, factor * self.risk) for factor in (0.8, 0.9, 1, 1.1, 1.25)])
        )


def _coverage_at(curve: RiskCoverage, risk: float) -> float:
    within = np.flatnonzero(curve.risk <= risk)
    return float(curve.coverage[within[-1]]) if len(within) else 0.0


def share_left(share: float, weight: Array, others: Array, accepted: Mask) -> float:
    """The share of rows to accept so that, with the `others` already accepted, `share` of all are."""
    wanted = share * (weight.sum() + others.sum()) - others[accepted].sum()
    return float(np.clip(wanted / weight.sum(), 0.0, 1.0)) if weight.sum() > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class RiskAtCoverage(SelectiveObjective):
    coverage: float

    @property
    def target(self) -> float:
        return self.coverage

    def accept_above(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        if len(rank) == 0 or self.coverage == 0:
            return ACCEPT_NONE
        curve = risk_coverage(rank, outcome, weight)
        return float(curve.thresholds[first_covering(curve, self.coverage)])

    def for_rest(self, outcome: Array, weight: Array, others: Others) -> Objective:
        return replace(self, coverage=share_left(self.coverage, weight, others.weight, others.accepted))

    def value(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        curve = risk_coverage(rank, outcome, weight)
        return float(curve.risk[first_covering(curve, self.coverage)])

    def gain(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        curve = risk_coverage(rank, outcome, weight)
        nearby = (min(self.coverage + shift, 1.0) for shift in (-0.04, -0.02, 0, 0.02, 0.04))
        return -float(np.mean([curve.risk[first_covering(curve, coverage)] for coverage in nearby]))


@dataclass(frozen=True, kw_only=True)
class Accuracy(SelectiveObjective):
    """Over all rows: whatever the rank, every row is accepted."""

    @property
    def target(self) -> float:
        return math.nan

    @property
    def is_lower_better(self) -> bool:
        return False

    def accept_above(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        return ACCEPT_ALL

    def value(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        return float(np.average(outcome, weights=weight))

    def gain(self, rank: Array, outcome: Mask | Array, weight: Array | None = None) -> float:
        return self.value(rank, outcome, weight)
