"""What each rule gives at each cost: policies fitted over budgets, judged on the same rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cascade.fitting.budget import stage_costs
from cascade.fitting.fit import FitSettings, fit
from cascade.intervals import Estimate
from cascade.objectives.objective import Objective
from cascade.report.judged import Judged, Yardstick
from cascade.report.policies import OURS, PAPER, Named, settings_of
from cascade.report.resampling import Resamples, Rows, interval
from cascade.scores import Array
from cascade.scores_file import ScoresFile

NUM_BUDGETS = 7
RULES = ("threshold", PAPER, OURS)


@dataclass(frozen=True)
class Point:
    """A budget, what the policy fitted under it really cost, and its value, with `values` resampled."""

    budget: float
    cost: float
    value: Estimate
    values: Array


@dataclass(frozen=True)
class Line:
    """One rule over the budgets."""

    name: str
    points: tuple[Point, ...]


def frontier(
    scores: ScoresFile,
    yardstick: Yardstick,
    asked: FitSettings,
    drawn: Resamples,
    progress: Callable[[str], None],
) -> list[Line]:
    lines = []
    for name in RULES:
        points = []
        for budget in budgets(scores, yardstick):
            progress(f"frontier: {name} at {budget:.2f}x")
            settings = replace(settings_of(name, asked), budget=f"{budget:.6f}x")
            policy = fit(scores, yardstick.stages, settings)
            points.append(_point(budget, yardstick.judge(Named(name, policy)), yardstick.objective, drawn))
        lines.append(Line(name, tuple(points)))
    return lines


def budgets(scores: ScoresFile, yardstick: Yardstick) -> list[float]:
    """From stage 1 alone to the whole cascade, in multiples of stage 1; closer together where it is cheap."""
    costs = stage_costs(scores.macs, scores, yardstick.stages)
    return [float(budget) for budget in np.geomspace(1.0, sum(costs) / costs[0], NUM_BUDGETS)]


def _point(budget: float, judged: Judged, objective: Objective, drawn: Resamples) -> Point:
    statistic = partial(_value, objective)
    values = drawn.values(judged, statistic)
    everyone = np.arange(len(judged.rank))
    cost = float(np.average(judged.cost, weights=judged.traffic))
    return Point(budget, cost, Estimate(statistic(judged, everyone), *interval(values)), values)


def _value(objective: Objective, judged: Judged, rows: Rows) -> float:
    return objective.value(judged.rank[rows], judged.outcome[rows], judged.weight[rows])


def gain_over(line: Line, base: Line, objective: Objective) -> list[Estimate]:
    """What a rule gains over another at each budget, resampled in pairs; more is better."""
    sign = -1.0 if objective.is_lower_better else 1.0
    return [
        Estimate(
            sign * (point.value.value - other.value.value), *interval(sign * (point.values - other.values))
        )
        for point, other in zip(line.points, base.points, strict=True)
    ]
