"""How latency is distributed among requests that leave at each stage: one ridge a stage, and one for all."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cascade.report.plot_style import FAINT, INK
from loadtest.figures.results import Results
from loadtest.figures.statistics import latency
from loadtest.measure.campaign import case_id
from loadtest.report.plot_style import label, log_axis, new_figure, stage_colours
from loadtest.report.wording import milliseconds, percent

ALL = "#9aa5b1"
# Bins of equal ratio over the whole range, and the width of the kernel that smooths them, in bins.
BINS = 160
KERNEL_BINS = 2.0
RIDGE_HEIGHT = 0.82
# Fewer requests show their own names rather than a distribution.
LEAST_FOR_RIDGE = 20
LEAST_FOR_P99 = 100

Array = NDArray[np.float64]


def draw_stage_latency(results: Results) -> Figure | None:
    """Of the judged contender; None where its requests leave at one stage alone."""
    campaign = results.campaign
    cases = [case for case in results.cases if case.contender == results.judged.contender]
    num_stages = max(case.case.served.num_stages for case in cases)
    if all(len(case.load.by_exit_stage) < 2 for case in cases):
        return None
    figure, panels = new_figure(1.2 + 0.85 * (num_stages + 1), len(cases), share_x=True, share_y=True)
    groups = [_groups(campaign.loads[case_id(case.case)].samples.requests.latency_ms,
                      campaign.loads[case_id(case.case)].samples.requests.exit_stage, num_stages)
              for case in cases]  # fmt: skip
    edges = _edges(np.concatenate([values for group in groups for values in group]))
    for axes, case, group in zip(panels, cases, groups, strict=True):
        _draw_ridges(axes, group, edges)
        label(axes, title=f"{case.contender} over {case.over}", x="latency, ms (log)")
        axes.set_xscale("log")
        log_axis(axes.xaxis)
        axes.set_xlim(edges[0], edges[-1])
    return figure


def _groups(latency_ms: Array, exit_stage: NDArray[np.int32], num_stages: int) -> list[Array]:
    """Answered requests: all, then those of each stage."""
    masks = [exit_stage > 0, *(exit_stage == stage for stage in range(1, num_stages + 1))]
    return [latency_ms[mask] for mask in masks]


def _edges(values: Array) -> Array:
    low, high = float(values.min()), float(values.max())
    return np.geomspace(low / 1.15, high * 1.15, BINS + 1)


def _draw_ridges(axes: Axes, groups: list[Array], edges: Array) -> None:
    """From the top: all, then stage by stage. Each ridge has its own height, and its share beside it."""
    colours = [ALL, *stage_colours(len(groups) - 1)]
    names = ["all", *(f"stage {stage}" for stage in range(1, len(groups)))]
    ticks = []
    for number, (values, colour, name) in enumerate(zip(groups, colours, names, strict=True)):
        base = float(len(groups) - 1 - number)
        ticks.append((base, name))
        share = percent(len(values) / max(1, len(groups[0])))
        axes.text(0.995, base + 0.5, share, transform=axes.get_yaxis_transform(), ha="right", fontsize=8.5)
        if len(values) >= LEAST_FOR_RIDGE:
            _draw_ridge(axes, values, edges, base, colour)
        else:
            axes.plot(values, np.full(len(values), base), "|", color=colour, markersize=12)
    axes.set_yticks([base for base, _ in ticks], [text for _, text in ticks])
    axes.set_ylim(-0.25, len(groups) - 0.05)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _draw_ridge(axes: Axes, values: Array, edges: Array, base: float, colour: str) -> None:
    density = _smoothed(values, edges)
    heights = base + density / density.max() * RIDGE_HEIGHT
    middles = np.sqrt(edges[:-1] * edges[1:])
    axes.fill_between(middles, base, heights, color=colour, alpha=0.85, linewidth=0)
    axes.plot(middles, heights, color=INK, linewidth=0.8)
    axes.axhline(base, color=FAINT, linewidth=0.6)
    figures = latency(values)
    marks = [("p50", figures.p50_ms)]
    if len(values) >= LEAST_FOR_P99:
        marks.append(("p99", figures.p99_ms))
    for name, value in marks:
        axes.plot([value, value], [base, base + 0.13], color=INK, linewidth=1.8)
        axes.annotate(
            f"{name} {milliseconds(value)}", (value, base), (0, -4), textcoords="offset points",
            ha="center", va="top", fontsize=8, color=INK,
        )  # fmt: skip


def _smoothed(values: Array, edges: Array) -> Array:
    """A kernel density on the logarithm, out of binned counts."""
    counts = np.histogram(values, edges)[0].astype(np.float64)
    reach = int(4 * KERNEL_BINS)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / KERNEL_BINS) ** 2)
    return np.convolve(counts, kernel / kernel.sum(), mode="same")
