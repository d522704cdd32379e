"""How each case gives way as the rate grows, at one difficulty."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from cascade.report.plot_style import INK
from loadtest.case import Case
from loadtest.figures.probe import Goal, Probe, Surface
from loadtest.report.plot_style import (
    contender_colours,
    contender_markers,
    label,
    legend_above,
    log_axis,
    new_figure,
    percent_axis,
)
from loadtest.report.sweep_words import cases_of

Read = Callable[[Probe], float]
PANELS: tuple[tuple[str, Read], ...] = (
    ("Accuracy, of all sent", lambda p: p.under_load.accuracy.value),
    ("Accuracy, of the answered", lambda p: p.under_load.answered_accuracy.value),
    ("Good: right, in time, whole", lambda p: p.under_load.good),
    ("No answer (—), degraded (- -)", lambda p: p.under_load.shed + p.under_load.failed),
    ("Leave at stage 1", lambda p: p.under_load.exit_shares[0].value),
)
DEGRADED_PANEL = 3
COLUMNS, ROWS = 3, 2
# Of the cases of one contender, over the first protocol or server, the second ...
OVER_STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (4, 2, 1, 2)))
EMPTY_LIMITS_MS = (1.0, 1000.0)


def draw_brown_out(surface: Surface, hard_share: float | None, goal: Goal) -> Figure:
    figure, panels = new_figure(6.2, COLUMNS, ROWS, share_x=True)
    for case in cases_of(surface):
        probes = surface.of(case, hard_share)
        for axes, (_, read) in zip(panels, PANELS, strict=False):
            _draw_line(axes, surface, case, probes, read)
        _draw_line(
            panels[-1], surface, case, probes, lambda p: getattr(p.load.latency, f"{goal.percentile}_ms")
        )
        degraded = [p.under_load.degraded for p in probes]
        colour = contender_colours(_contenders(surface))[case.contender]
        panels[DEGRADED_PANEL].plot([p.rate for p in probes], degraded, "--", color=colour, linewidth=1.4)
    for axes, (title, _) in zip(panels, PANELS, strict=False):
        label(axes, title=title)
        percent_axis(axes.yaxis)
    for axes in panels[2:4]:
        axes.set_ylim(-0.02, 1.02)
    _finish_latency(panels[-1], surface, goal)
    for axes in panels:
        axes.set_xscale("log")
        log_axis(axes.xaxis)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(surface.rates, [f"{rate:g}" for rate in surface.rates])
    for axes in panels[COLUMNS:]:
        axes.set_xlabel("requests/s offered (log)", fontsize=10, color=INK)
    legend_above(figure, panels)
    return figure


def _contenders(surface: Surface) -> list[str]:
    return list(dict.fromkeys(case.contender for case in cases_of(surface)))


def _draw_line(axes: Axes, surface: Surface, case: Case, probes: list[Probe], read: Read) -> None:
    names = _contenders(surface)
    overs = list(dict.fromkeys(each.over for each in cases_of(surface)))
    values = np.array([read(probe) for probe in probes], np.float64)
    axes.plot(
        [probe.rate for probe in probes],
        np.where(np.isfinite(values), values, np.nan),
        color=contender_colours(names)[case.contender],
        marker=contender_markers(names)[case.contender],
        linestyle=OVER_STYLES[overs.index(case.over) % len(OVER_STYLES)],
        linewidth=1.8,
        markersize=5.5,
        label=case.contender if len(overs) == 1 else case.name,
    )


def _finish_latency(axes: Axes, surface: Surface, goal: Goal) -> None:
    figures = [getattr(p.load.latency, f"{goal.percentile}_ms") for p in surface.probes]
    axes.set_yscale("log")
    log_axis(axes.yaxis)
    if not np.isfinite(figures).any():
        axes.set_ylim(EMPTY_LIMITS_MS)
    axes.axhline(goal.latency_ms, color=INK, linewidth=1.2, linestyle=(0, (5, 3)), label="goal")
    label(axes, title=f"{goal.percentile}, ms (log)")
