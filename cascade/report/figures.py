"""The figures of a policy on the rows to judge on, each with its interval, and whether its target is met."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from cascade.intervals import Estimate, share_interval
from cascade.metrics import aurc
from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.objective import Objective
from cascade.objectives.selective import SelectiveObjective
from cascade.report.judged import Judged
from cascade.report.resampling import Resamples, Rows, Statistic, interval
from cascade.scores import Array
from cascade.verdict import TargetCheck, deployed_figure, verdict


@dataclass(frozen=True, kw_only=True)
class Figures:
    """`estimates` by name, as in `STATISTICS`; `values` the objective's value under each resample."""

    judged: Judged
    estimates: Mapping[str, Estimate]
    values: Array
    verdict: TargetCheck

    @property
    def name(self) -> str:
        return self.judged.name


def figures_of(judged: Judged, objective: Objective, drawn: Resamples) -> Figures:
    statistics = statistics_for(objective)
    everyone = np.argsort(-judged.rank, kind="stable")
    samples = np.array(
        [[statistic(judged, rows) for statistic in statistics.values()] for rows in drawn.of(judged)]
    )
    estimates = {
        name: Estimate(statistic(judged, everyone), *interval(samples[:, column]))
        for column, (name, statistic) in enumerate(statistics.items())
    }
    if judged.outside is not None:
        estimates["ood_accepted"] = _ood_accepted(judged)
    values = samples[:, list(statistics).index("value")]
    return Figures(
        judged=judged, estimates=estimates, values=values, verdict=verdict_on(objective, estimates)
    )


def statistics_for(objective: Objective) -> dict[str, Statistic]:
    """Those that make sense: a decision is right or wrong, and accepts nothing."""
    made: dict[str, Statistic] = {"accuracy": _accuracy, "coverage": _coverage}
    if not isinstance(objective, ClassDecision):
        made |= {"risk": _risk, "aurc": _aurc}
    if isinstance(objective, SelectiveObjective) and objective.uses_ood:
        made |= {"risk_with_ood": _risk_with_ood, "coverage_with_ood": _coverage_with_ood}
    return made | {"value": partial(_value, objective), "cost": _cost}


def _accuracy(judged: Judged, rows: Rows) -> float:
    return float(judged.correct[rows[judged.is_inside[rows]]].mean())


def _coverage(judged: Judged, rows: Rows) -> float:
    return float(judged.accepted[rows[judged.is_inside[rows]]].mean())


def _risk(judged: Judged, rows: Rows) -> float:
    accepted = rows[judged.is_inside[rows] & judged.accepted[rows]]
    return float((~judged.correct[accepted]).mean()) if len(accepted) else math.nan


def _risk_with_ood(judged: Judged, rows: Rows) -> float:
    """Errors among the accepted where OOD rows have their share of the traffic, each of them an error."""
    accepted = rows[judged.accepted[rows]]
    if len(accepted) == 0:
        return math.nan
    return float(np.average(1 - judged.outcome[accepted], weights=judged.weight[accepted]))


def _coverage_with_ood(judged: Judged, rows: Rows) -> float:
    return float(np.average(judged.accepted[rows], weights=judged.weight[rows]))


def _aurc(judged: Judged, rows: Rows) -> float:
    inside = rows[judged.is_inside[rows]]
    return aurc(judged.rank[inside], judged.correct[inside])


def _value(objective: Objective, judged: Judged, rows: Rows) -> float:
    return objective.value(judged.rank[rows], judged.outcome[rows], judged.weight[rows])


def _cost(judged: Judged, rows: Rows) -> float:
    return float(np.average(judged.cost[rows], weights=judged.traffic[rows]))


def _ood_accepted(judged: Judged) -> Estimate:
    assert judged.outside is not None
    accepted = judged.outside.accepted
    return Estimate(float(accepted.mean()), *share_interval(accepted))


def verdict_on(objective: Objective, estimates: Mapping[str, Estimate]) -> TargetCheck:
    """On the deployed threshold, not on the curve."""
    name = deployed_figure(objective)
    if name is None:
        return TargetCheck.NONE
    estimate = estimates[f"{name}_with_ood" if "risk_with_ood" in estimates else name]
    return verdict(objective, estimate.value, estimate.low, estimate.high)
