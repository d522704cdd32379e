"""What a policy is fitted for: `coverage@risk=r`, `risk@coverage=c` or `accuracy`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.errors import FitError
from cascade.metrics import RiskCoverage, risk_coverage
from cascade.policy import ACCEPT_ALL, ACCEPT_NONE
from cascade.scores import Array

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Objective:
    """A goal with its target, NaN where the goal has none."""

    name: str
    target: float

    def __str__(self) -> str:
        return self.name if np.isnan(self.target) else f"{self.name}={self.target:g}"

    def accept_above(self, score: Array, correct: Mask) -> float:
        """The final threshold that serves the objective best on these rows."""
        if len(score) == 0:
            return ACCEPT_NONE
        return _OBJECTIVES[self.name][0](risk_coverage(score, correct), self.target)

    def value(self, score: Array, correct: Mask) -> float:
        """The objective's value, read off the rows' own risk-coverage curve."""
        return _OBJECTIVES[self.name][1](risk_coverage(score, correct), self.target)


def _accept_within_risk(curve: RiskCoverage, risk: float) -> float:
    within = np.flatnonzero(curve.risk <= risk)
    return float(curve.thresholds[within[-1]]) if len(within) else ACCEPT_NONE


def _coverage_at_risk(curve: RiskCoverage, risk: float) -> float:
    within = np.flatnonzero(curve.risk <= risk)
    return float(curve.coverage[within[-1]]) if len(within) else 0.0


def _accept_coverage(curve: RiskCoverage, coverage: float) -> float:
    return float(curve.thresholds[_first_covering(curve, coverage)])


def _risk_at_coverage(curve: RiskCoverage, coverage: float) -> float:
    return float(curve.risk[_first_covering(curve, coverage)])


def _first_covering(curve: RiskCoverage, coverage: float) -> int:
    return int(np.searchsorted(curve.coverage, coverage - 1e-12))


_OBJECTIVES: dict[
    str, tuple[Callable[[RiskCoverage, float], float], Callable[[RiskCoverage, float], float]]
] = {
    "coverage@risk": (_accept_within_risk, _coverage_at_risk),
    "risk@coverage": (_accept_coverage, _risk_at_coverage),
    "accuracy": (lambda curve, _: ACCEPT_ALL, lambda curve, _: 1.0 - float(curve.risk[-1])),
}


def parse_objective(text: str) -> Objective:
    """`coverage@risk=0.05`, `risk@coverage=0.8` or `accuracy`; FitError says what is wrong."""
    name, _, value = text.partition("=")
    if name not in _OBJECTIVES:
        raise FitError(f"unknown objective {text!r}; there are: coverage@risk=R, risk@coverage=C, accuracy")
    if name == "accuracy":
        if value:
            raise FitError("objective accuracy takes no value")
        return Objective(name, float("nan"))
    try:
        target = float(value)
    except ValueError:
        raise FitError(f"objective {text!r}: {value!r} is no number") from None
    if not 0 < target < 1:
        raise FitError(f"objective {text!r}: the target must lie between 0 and 1")
    return Objective(name, target)
