"""Risk against coverage; for out-of-distribution rows, what is accepted of either kind."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cascade.metrics import risk_coverage
from cascade.objectives.detection import FprAtTpr
from cascade.objectives.objective import Objective
from cascade.objectives.selective import CoverageAtRisk, RiskAtCoverage, SelectiveObjective
from cascade.report.judged import Judged
from cascade.report.plot_style import (
    FAINT,
    INK,
    label,
    legend_above,
    marker_size,
    new_figure,
    percent_axis,
    policy_colours,
    policy_dashes,
    policy_markers,
    policy_order,
)
from cascade.report.results import Results
from cascade.report.wording import short_percent
from cascade.scores import Array

# The curve's beginning rests on a handful of rows and jumps about.
LEAST_COVERAGE = 0.05


def draw_risk_coverage(results: Results) -> Figure | None:
    """None where the objective knows no risk."""
    if not isinstance(results.objective, SelectiveObjective):
        return None
    figure, ((axes,),) = new_figure(4.6)
    for figures in results.figures:
        _draw_curve(axes, figures.judged, results)
    _draw_target(axes, results.objective)
    _finish(figure, axes)
    label(axes, x="coverage (share of rows accepted)", y="risk (share of the accepted that are wrong)")
    return figure


def _draw_curve(axes: Axes, judged: Judged, results: Results) -> None:
    curve = risk_coverage(judged.rank, judged.outcome, judged.weight)
    shown = curve.coverage >= LEAST_COVERAGE
    accepted = judged.accepted
    point = None
    if accepted.any():
        coverage = float(np.average(accepted, weights=judged.weight))
        risk = float(np.average(1 - judged.outcome[accepted], weights=judged.weight[accepted]))
        point = coverage, risk
    _draw(axes, judged.name, results.names, curve.coverage[shown], curve.risk[shown], point)


def _draw(
    axes: Axes, name: str, names: list[str], x: Array, y: Array, point: tuple[float, float] | None
) -> None:
    """A curve, and the deployed threshold on it."""
    colour = policy_colours(names)[name]
    axes.plot(
        x, y, color=colour, linestyle=policy_dashes(name), linewidth=2, label=name, zorder=policy_order(name)
    )
    if point is not None:
        axes.plot(
            *point,
            marker=policy_markers(names)[name],
            color=colour,
            markersize=marker_size(name, names),
            markeredgecolor="white",
            linestyle="none",
            zorder=5,
            clip_on=False,
        )


def _draw_target(axes: Axes, objective: Objective) -> None:
    if isinstance(objective, CoverageAtRisk):
        text = f"target: {short_percent(objective.risk)} risk"
        axes.axhline(objective.risk, color=INK, linewidth=1.2, linestyle=(0, (2, 3)), label=text)
    elif isinstance(objective, RiskAtCoverage):
        text = f"target: {short_percent(objective.coverage)} coverage"
        axes.axvline(objective.coverage, color=INK, linewidth=1.2, linestyle=(0, (2, 3)), label=text)


def _finish(figure: Figure, axes: Axes) -> None:
    axes.plot([], [], marker="o", color=FAINT, linestyle="none", label="deployed threshold")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    legend_above(figure, [axes])


def draw_detection(results: Results) -> Figure | None:
    """None but where out-of-distribution rows are what it is about."""
    objective = results.objective
    if not isinstance(objective, FprAtTpr):
        return None
    figure, ((axes,),) = new_figure(4.6)
    for figures in results.figures:
        judged = figures.judged
        thresholds = np.unique(judged.rank)[::-1]
        inside, outside = judged.rank[judged.is_inside], judged.rank[~judged.is_inside]
        point = (
            float(judged.accepted[judged.is_inside].mean()),
            float(judged.accepted[~judged.is_inside].mean()),
        )
        _draw(
            axes,
            judged.name,
            results.names,
            _share_from(inside, thresholds),
            _share_from(outside, thresholds),
            point,
        )
    text = f"target: {short_percent(objective.tpr)} of rows in distribution"
    axes.axvline(objective.tpr, color=INK, linewidth=1.2, linestyle=(0, (2, 3)), label=text)
    _finish(figure, axes)
    label(axes, x="rows in distribution accepted (TPR)", y="OOD rows accepted (FPR)")
    return figure


def _share_from(rank: Array, thresholds: Array) -> Array:
    """The share of rows that rank at each threshold or above."""
    ordered = np.sort(rank)
    return np.asarray(1 - np.searchsorted(ordered, thresholds, side="left") / len(ordered))
