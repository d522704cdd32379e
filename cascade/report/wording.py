"""Figures and questions as people read them."""

import math
from functools import singledispatch

from cascade.intervals import Estimate
from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.detection import FprAtTpr
from cascade.objectives.objective import Objective
from cascade.objectives.selective import Accuracy, CoverageAtRisk, RiskAtCoverage

NONE = "–"


def percent(value: float, digits: int = 1) -> str:
    return NONE if math.isnan(value) else f"{value * 100:.{digits}f}%"


def short_percent(value: float) -> str:
    """As many digits as it has: `5%`, `2.5%`."""
    return f"{round(value * 100, 6):g}%"


def multiple(value: float) -> str:
    return f"{value:.2f}×"


def points(value: float, *, signed: bool = True) -> str:
    """A difference of shares, in percentage points."""
    return NONE if math.isnan(value) else f"{value * 100:{'+' if signed else ''}.2f}"


def count(value: float) -> str:
    """`1,234`, and `1.23 M` from a million on."""
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"


def is_share(objective: Objective) -> bool:
    """Whether its value is a share of rows; a decision at a cost has the mean cost instead."""
    return not (isinstance(objective, ClassDecision) and objective.costs is not None)


def value_text(objective: Objective, value: float) -> str:
    if math.isnan(value):
        return NONE
    return percent(value) if is_share(objective) else f"{value:.4f}"


def interval_text(objective: Objective, estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return ""
    if is_share(objective):
        return f"{estimate.low * 100:.1f} to {estimate.high * 100:.1f}"
    return f"{estimate.low:.4f} to {estimate.high:.4f}"


def value_name(objective: Objective) -> str:
    """`coverage at 5% risk`."""
    ood = getattr(objective, "ood", 0.0)
    return _value_name(objective) + (f", {short_percent(ood)} of the traffic OOD" if ood else "")


@singledispatch
def _value_name(objective: Objective) -> str:
    return objective.name


@_value_name.register
def _(objective: CoverageAtRisk) -> str:
    return f"coverage at {short_percent(objective.risk)} risk"


@_value_name.register
def _(objective: RiskAtCoverage) -> str:
    return f"risk at {short_percent(objective.coverage)} coverage"


@_value_name.register
def _(objective: Accuracy) -> str:
    return "accuracy"


@_value_name.register
def _(objective: FprAtTpr) -> str:
    return f"OOD rows accepted at {short_percent(objective.tpr)} TPR"


@_value_name.register
def _(objective: ClassDecision) -> str:
    return "decisions as of full" if objective.costs is None else "cost of decisions per row"


def event_name(objective: Objective) -> str:
    """What the confidence is the chance of."""
    if isinstance(objective, FprAtTpr):
        return "in distribution"
    return f"class {objective.number}" if isinstance(objective, ClassDecision) else "right"
