"""Confidence against what is observed, at each depth where rows exit."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cascade.intervals import effective_rows, wilson
from cascade.metrics import brier, event_log_loss
from cascade.report.judged import Judged
from cascade.report.plot_style import (
    FAINT,
    INK,
    WIDTH,
    label,
    new_figure,
    percent_axis,
    policy_colours,
    policy_markers,
    short,
)
from cascade.report.results import Results
from cascade.report.wording import event_name
from cascade.scores import Array

BINS = 10
ROWS_PER_BIN = 25
# Too few for a bin.
LEAST_ROWS = 10
PANEL_INCHES, ROW_INCHES = 3.3, 3.3


@dataclass(frozen=True)
class Bin:
    """Rows of neighbouring confidence: the mean of it, the rate of the event, with its Wilson interval."""

    confidence: float
    rate: float
    low: float
    high: float
    weight: float


@dataclass(frozen=True)
class Reliability:
    """Bins of equal mass over the rows that exit at one depth, and measures over all these rows."""

    rows: int
    bins: tuple[Bin, ...]
    log_loss: float
    brier: float
    calibration_error: float


def draw_reliability(results: Results) -> Figure:
    judged_ones = [figures.judged for figures in results.deciding or results.figures]
    num_stages = judged_ones[0].num_stages
    figure, grid = new_figure(
        ROW_INCHES * len(judged_ones),
        num_stages,
        len(judged_ones),
        width=max(WIDTH, PANEL_INCHES * num_stages),
    )
    for judged, panels in zip(judged_ones, grid, strict=True):
        for depth, axes in enumerate(panels):
            _draw_depth(axes, judged, depth, results)
    return figure


def reliability(judged: Judged, depth: int, groups: NDArray[np.int64]) -> Reliability | None:
    """None where too few rows exit there to tell."""
    rows = np.flatnonzero(judged.depth == depth)
    if len(rows) < LEAST_ROWS:
        return None
    confidence, event, weight = judged.confidence[rows], judged.event[rows], judged.weight[rows]
    bins = tuple(
        _bin(confidence[part], event[part], weight[part], groups[rows[part]])
        for part in _equal_masses(confidence)
    )
    return Reliability(
        rows=len(rows),
        bins=bins,
        log_loss=event_log_loss(confidence, event, weight),
        brier=brier(confidence, event, weight),
        calibration_error=float(
            np.average([abs(b.confidence - b.rate) for b in bins], weights=[b.weight for b in bins])
        ),
    )


def _equal_masses(confidence: Array) -> list[NDArray[np.intp]]:
    """Rows of each bin. Equal confidences share one: which of them fell to which bin would mean nothing."""
    num_bins = int(np.clip(len(confidence) // ROWS_PER_BIN, 1, BINS))
    edges = np.quantile(confidence, np.arange(1, num_bins) / num_bins, method="closest_observation")
    numbers = np.searchsorted(np.unique(edges), confidence, side="left")
    return [np.flatnonzero(numbers == number) for number in np.unique(numbers)]


def _bin(confidence: Array, event: NDArray[np.bool_], weight: Array, groups: NDArray[np.int64]) -> Bin:
    """Unequal weights and rows of one source tell less than as many rows would (Kish 1965)."""
    rate = float(np.average(event, weights=weight))
    trials = weight.sum() ** 2 / np.square(weight).sum() * effective_rows(event, groups) / len(event)
    mean = float(np.average(confidence, weights=weight))
    return Bin(mean, rate, *wilson(rate, max(float(trials), 1.0)), float(weight.sum()))


def _draw_depth(axes: Axes, judged: Judged, depth: int, results: Results) -> None:
    """The legend says how many rows and how good their confidence is."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
    measured = reliability(judged, depth, _groups(results))
    label(
        axes,
        title=f"{short(judged.name)}, exit after stage {depth + 1}",
        x="confidence (mean of a bin)",
        y=f"share that is {event_name(results.objective)}" if depth == 0 else "",
    )
    axes.title.set_fontsize(10)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    if measured is None:
        axes.text(
            0.5,
            0.5,
            f"fewer than {LEAST_ROWS} rows exit here",
            ha="center",
            fontsize=10,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none"},
        )
        return
    _draw_bins(axes, measured, judged.name, results.names)


def _draw_bins(axes: Axes, measured: Reliability, name: str, names: list[str]) -> None:
    rates = np.array([b.rate for b in measured.bins])
    ends = np.array([[b.low, b.high] for b in measured.bins]).T
    text = (
        f"{measured.rows:,} rows\nNLL {measured.log_loss:.3f}\nBrier {measured.brier:.3f}\n"
        f"ECE {measured.calibration_error * 100:.1f}%"
    )
    axes.errorbar(
        [b.confidence for b in measured.bins],
        rates,
        yerr=np.abs(ends - rates),
        color=policy_colours(names)[name],
        marker=policy_markers(names)[name],
        markersize=6,
        linestyle="none",
        elinewidth=1.6,
        capsize=3,
        label=text,
    )
    axes.legend(loc="upper left", fontsize=9, labelcolor=INK, framealpha=0.9, edgecolor="none")


def _groups(results: Results) -> NDArray[np.int64]:
    """A group for each judged row; OOD rows stand alone."""
    scores = results.parts.judge
    groups = np.arange(scores.num_rows) if scores.groups is None else scores.groups
    num_ood = len(results.yardstick.truth) - scores.num_rows
    return np.concatenate([groups, groups.max() + 1 + np.arange(num_ood)])
