"""What each rule gives at each cost, and what it gains over the paper's rule at equal budget."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cascade.report.frontier import Line, gain_over
from cascade.report.plot_style import (
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
from cascade.report.policies import PAPER
from cascade.report.results import Results
from cascade.report.wording import is_share, value_name

BAND = 0.14


def draw_frontier(results: Results) -> Figure:
    figure, ((left, right),) = new_figure(4.7, 2)
    _draw_values(left, results)
    _draw_gains(right, results)
    legend_above(figure, [left, right])
    return figure


def _draw_values(axes: Axes, results: Results) -> None:
    colours = policy_colours([*results.names, *(line.name for line in results.lines)])
    for line in results.lines:
        points = sorted(line.points, key=lambda point: point.cost)
        costs = [point.cost for point in points]
        low, high = ([getattr(point.value, end) for point in points] for end in ("low", "high"))
        axes.fill_between(costs, low, high, color=colours[line.name], alpha=BAND, linewidth=0)
        values = [point.value.value for point in points]
        axes.plot(
            costs,
            values,
            color=colours[line.name],
            linestyle=policy_dashes(line.name),
            linewidth=2,
            zorder=policy_order(line.name),
            label=f"{line.name}, over budgets",
        )
    markers = policy_markers(results.names)
    for figures in results.figures:
        axes.plot(
            figures.estimates["cost"].value,
            figures.estimates["value"].value,
            marker=markers[figures.name],
            color=colours[figures.name],
            markersize=marker_size(figures.name, results.names),
            markeredgecolor="white",
            linestyle="none",
            zorder=5,
            label=figures.name,
        )
    better = "lower" if results.objective.is_lower_better else "higher"
    label(
        axes,
        title="Cost and value",
        x="cost per row (multiples of stage 1)",
        y=f"{value_name(results.objective)}\n({better} is better)",
    )
    if is_share(results.objective):
        percent_axis(axes.yaxis)


def _draw_gains(axes: Axes, results: Results) -> None:
    colours, markers = (
        assigned([*results.names, *(line.name for line in results.lines)])
        for assigned in (policy_colours, policy_markers)
    )
    base = next(line for line in results.lines if line.name == PAPER)
    others = [line for line in results.lines if line.name != PAPER]
    factor = 100.0 if is_share(results.objective) else 1.0
    axes.axhline(0, color=INK, linewidth=1.2)
    for line, shift in zip(others, _shifts(base, len(others)), strict=True):
        gains = gain_over(line, base, results.objective)
        values = np.array([gain.value for gain in gains]) * factor
        ends = np.array([[gain.low, gain.high] for gain in gains]).T * factor
        axes.errorbar(
            np.array([point.budget for point in line.points]) * shift,
            values,
            yerr=np.abs(ends - values),
            color=colours[line.name],
            marker=markers[line.name],
            markersize=6,
            linestyle="none",
            elinewidth=1.6,
            capsize=3,
        )
    unit = "percentage points" if is_share(results.objective) else "cost"
    label(
        axes,
        title="Gain over the paper's rule",
        x="budget per row (multiples of stage 1)",
        y=f"gained at equal budget ({unit})\n(above 0 is better)",
    )


def _shifts(base: Line, num_lines: int) -> np.ndarray:
    """Factors that set the rules a little apart, so that no interval hides another."""
    budgets = np.array([point.budget for point in base.points])
    step = (budgets[1] / budgets[0]) ** 0.12
    return np.asarray(step ** (np.arange(num_lines) - (num_lines - 1) / 2))
