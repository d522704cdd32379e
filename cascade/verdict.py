"""Whether a deployed policy keeps its target, and how sure the rows are of it."""

import math
from enum import Enum

from cascade.objectives.detection import FprAtTpr
from cascade.objectives.objective import Objective
from cascade.objectives.selective import CoverageAtRisk, RiskAtCoverage


class TargetCheck(Enum):
    """On a target: kept or missed, by more than the rows' error or not."""

    MET = "met"
    NEARLY_MET = "met, within error"
    NEARLY_MISSED = "missed, within error"
    MISSED = "missed"
    NONE = "no target"


def deployed_figure(objective: Objective) -> str | None:
    """The figure at the deployed threshold that the target is about; None where there is no target."""
    if isinstance(objective, CoverageAtRisk):
        return "risk"
    return "coverage" if isinstance(objective, RiskAtCoverage | FprAtTpr) else None


def verdict(objective: Objective, value: float, low: float, high: float) -> TargetCheck:
    """Of the deployed figure and its interval. Where nothing is accepted, the risk is no number, and nothing
    is wrong."""
    figure = deployed_figure(objective)
    if figure is None:
        return TargetCheck.NONE
    sign = 1.0 if figure == "risk" else -1.0
    excess, ends = sign * (value - objective.target), [sign * (end - objective.target) for end in (low, high)]
    if math.isnan(excess):
        return TargetCheck.MET
    if excess <= 0:
        return TargetCheck.MET if max(ends) <= 0 else TargetCheck.NEARLY_MET
    return TargetCheck.MISSED if min(ends) > 0 else TargetCheck.NEARLY_MISSED
