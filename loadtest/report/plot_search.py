"""Every probe of a search: latency and what the load took away, against the rate."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cascade.report.plot_style import FAINT, INK
from loadtest.figures.probe import Found, Goal, Probe
from loadtest.report.plot_style import (
    contender_colours,
    label,
    legend_above,
    log_axis,
    new_figure,
    percent_axis,
)

GOAL_DASHES = (0, (5, 3))
# By what came of a probe: its marker, and whether it is filled.
MARKS = {"held": ("o", True), "missed": ("o", False), "generator lagged": ("x", True)}


def draw_search(found: Sequence[Found], goal: Goal) -> Figure:
    """A column for each protocol or server."""
    overs = list(dict.fromkeys(each.case.over for each in found))
    colours = contender_colours(list(dict.fromkeys(each.case.contender for each in found)))
    figure, panels = new_figure(6.0, len(overs), 2, share_x=True)
    for column, over in enumerate(overs):
        latency, kept = panels[column], panels[len(overs) + column]
        for each in (each for each in found if each.case.over == over):
            _draw(latency, each, colours[each.case.contender], [_latency_ms(p, goal) for p in each.probes])
            _draw(kept, each, colours[each.case.contender], [p.under_load.kept for p in each.probes])
        _draw_goal(latency, goal.latency_ms)
        _draw_goal(kept, goal.share)
        label(latency, title=f"over {over}", y="" if column else f"{goal.percentile}, ms (log)")
        label(kept, x="requests/s (log)", y="" if column else "rows kept")
    _scale(panels[: len(overs)], panels[len(overs) :])
    _explain(panels[0])
    legend_above(figure, panels)
    return figure


def _latency_ms(probe: Probe, goal: Goal) -> float:
    return float(getattr(probe.load.latency, f"{goal.percentile}_ms"))


def _draw(axes: Axes, found: Found, colour: str, values: Sequence[float]) -> None:
    """Probes in the order of their rates; those that missed the goal are hollow, those in which the generator
    lagged are crosses."""
    rates = np.array([probe.rate for probe in found.probes])
    heights = np.array([value if np.isfinite(value) else np.nan for value in values])
    kinds = np.array([_kind(probe) for probe in found.probes])
    order = np.argsort(rates, kind="stable")
    axes.plot(rates[order], heights[order], color=colour, linewidth=1.0, alpha=0.5)
    for kind, (marker, is_filled) in MARKS.items():
        face = colour if is_filled else "white"
        points = rates[kinds == kind], heights[kinds == kind]
        axes.plot(*points, marker, color=colour, markerfacecolor=face, markersize=7, zorder=4)
    axes.plot([], [], "o", color=colour, label=found.case.contender)
    if found.rate is not None:
        axes.axvline(found.rate, color=colour, linewidth=1.8, zorder=2)


def _kind(probe: Probe) -> str:
    if not probe.is_valid:
        return "generator lagged"
    return "held" if probe.is_good else "missed"


def _draw_goal(axes: Axes, height: float) -> None:
    axes.axhline(height, color=INK, linewidth=1.2, linestyle=GOAL_DASHES, zorder=3)


def _scale(latencies: Sequence[Axes], kepts: Sequence[Axes]) -> None:
    for axes in (*latencies, *kepts):
        axes.set_xscale("log")
        log_axis(axes.xaxis)
    for axes in latencies:
        axes.set_yscale("log")
        log_axis(axes.yaxis)
    low = min(axes.get_ylim()[0] for axes in kepts)
    for axes in kepts:
        axes.set_ylim(max(0.0, low), 1.03)
        percent_axis(axes.yaxis)


def _explain(axes: Axes) -> None:
    for kind, (marker, is_filled) in MARKS.items():
        face = FAINT if is_filled else "white"
        axes.plot([], [], marker, color=FAINT, markerfacecolor=face, label=kind)
    axes.plot([], [], color=FAINT, linewidth=1.8, label="highest rate that holds")
    axes.plot([], [], color=INK, linewidth=1.2, linestyle=GOAL_DASHES, label="goal")
