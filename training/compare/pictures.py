"""A comparison as one picture: a column for each set of labels, the way there above what it came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from training.compare.results import Arm, Result, by_arm
from training.compare.statistics import ArmSummary, by_labels
from training.curves import FAINT, INK, label, new_figure, percent_axis, plain, updates_axis

BASELINE = "#4b5563"
# Told apart with any colour vision; after Okabe & Ito.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#a16207", "#6b46c1")
# A second round of the colours is broken.
DASHES: tuple[str | tuple[float, tuple[float, ...]], ...] = ("-", (0, (4, 1.5)), (0, (1, 1)))
COLUMN_WIDTH = 6.6
CURVES_HEIGHT = 4.0
ROW_HEIGHT = 0.34
FRAME_HEIGHT = 1.1
BAND = 0.08
DARKENING = 0.3
# Curves are shown from this share of the updates on; before it, all rise alike and steeply.
FIRST_SHOWN = 0.15
# Between the labels at the ends of the curves, as a share of the panel's height.
LABEL_GAP = 0.058
LEADER = {"arrowstyle": "-", "linewidth": 0.8, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0}
CAPTION = (
    "Above: mean over seeds; bands reach from the least to the greatest seed. "
    "Below: small dots are single seeds, whiskers 95% intervals over seeds; filled dots exclude zero."
)
CAPTION_ALONE = (
    "Means over seeds; bands reach from the least to the greatest seed, small dots are single seeds."
)
# An interval reaches so many times as far as the farthest seed before it is cut off.
LONGEST_WHISKER = 4.0


@dataclass(frozen=True, kw_only=True)
class Look:
    colour: str
    dashes: str | tuple[float, tuple[float, ...]]
    order: float
    weight: str = "normal"

    @property
    def text_colour(self) -> str:
        """Darker, so that light colours can be read."""
        share = np.array(to_rgb(self.colour)) * (1 - DARKENING) + np.array(to_rgb(INK)) * DARKENING
        return to_hex(share.tolist())


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Validation accuracy over updates: mean, least and greatest over seeds."""

    updates: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def draw_comparison(
    results: Sequence[Result],
    summaries: Sequence[ArmSummary],
    *,
    baseline: str | None,
    target_accuracy: float | None,
) -> Figure:
    groups = by_labels(summaries)
    looks = arm_looks([summary.arm.name for summary in summaries], baseline)
    num_rows = max(map(len, groups.values()))
    heights = (CURVES_HEIGHT, FRAME_HEIGHT + ROW_HEIGHT * num_rows)
    figure = new_figure(COLUMN_WIDTH * len(groups), sum(heights))
    grid = figure.subplots(2, len(groups), squeeze=False, sharex="row", height_ratios=heights)
    runs_of = by_arm(results)
    for column, (labels, group) in enumerate(groups.items()):
        above, below = grid[:, column]
        plain(above)
        plain(below)
        curves = [(summary.arm, mean_curve(runs_of[summary.arm])) for summary in group]
        _draw_curves(above, curves, looks, target_accuracy)
        label(above, title=f"Validation accuracy{_on(labels)}", x="updates")
        if baseline is None:
            _draw_accuracies(below, group, runs_of, looks)
        else:
            _draw_differences(below, group, looks, baseline)
    if baseline is not None:
        _limit_differences(grid[1, 0], summaries)
    caption = CAPTION_ALONE if baseline is None else CAPTION
    figure.supxlabel(caption, x=0.01, ha="left", fontsize=8.5, color=FAINT, wrap=True)
    return figure


def arm_looks(names: Sequence[str], baseline: str | None) -> dict[str, Look]:
    """An arm looks the same on all labels; the baseline is dark grey and lies over the others."""
    looks: dict[str, Look] = {}
    for name in dict.fromkeys(names):
        if name == baseline:
            looks[name] = Look(colour=BASELINE, dashes="-", order=3.0, weight="bold")
            continue
        round_number, place = divmod(len(looks.keys() - {baseline}), len(COLOURS))
        looks[name] = Look(colour=COLOURS[place], dashes=DASHES[round_number % len(DASHES)], order=2.0)
    return looks


def mean_curve(runs: Sequence[Result]) -> Curve:
    """Over the updates that all seeds span, linear between the points of each.

    Where they span none in common, which takes a budget of seconds, all are seen at the mean of their ends.
    """
    updates = [np.array([point.updates for point in run.curve], float) for run in runs]
    grid = np.unique(np.concatenate(updates))
    grid = grid[(grid >= max(own[0] for own in updates)) & (grid <= min(own[-1] for own in updates))]
    if not grid.size:
        grid = np.array([np.mean([own[-1] for own in updates])])
    accuracies = np.array(
        [
            np.interp(grid, own, [point.validation_accuracy for point in run.curve])
            for own, run in zip(updates, runs, strict=True)
        ]
    )
    return Curve(
        updates=grid, mean=accuracies.mean(axis=0), low=accuracies.min(axis=0), high=accuracies.max(axis=0)
    )


def spread_out(heights: Sequence[float], gap: float) -> NDArray[np.float64]:
    """Heights in [0, 1] moved as little as it takes, in squares, to lie `gap` apart in the same order."""
    wanted = np.asarray(heights, float)
    order = np.argsort(wanted, kind="stable")
    steps = np.arange(len(wanted)) * min(gap, 1 / len(wanted))
    free = isotonic_regression(wanted[order] - steps).x
    placed = np.empty_like(wanted)
    placed[order] = np.clip(free, 0, 1 - steps[-1]) + steps
    return placed


def _draw_curves(
    axes: Axes, curves: Sequence[tuple[Arm, Curve]], looks: Mapping[str, Look], target_accuracy: float | None
) -> None:
    for arm, curve in curves:
        look = looks[arm.name]
        axes.fill_between(curve.updates, curve.low, curve.high, color=look.colour, alpha=BAND, linewidth=0)
        axes.plot(
            curve.updates,
            curve.mean,
            color=look.colour,
            linestyle=look.dashes,
            linewidth=1.8,
            marker="o" if len(curve.updates) == 1 else None,
            zorder=look.order,
            label=arm.name,
        )
    _limit_curves(axes, [curve for _, curve in curves], target_accuracy)
    percent_axis(axes.yaxis)
    if target_accuracy is not None:
        axes.axhline(target_accuracy, color=FAINT, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)
        axes.annotate(
            "target",
            (0, target_accuracy),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=8.5,
            color=FAINT,
        )
    _label_ends(axes, curves, looks)


def _limit_curves(axes: Axes, curves: Sequence[Curve], target_accuracy: float | None) -> None:
    last = max(curve.updates[-1] for curve in curves)
    shown = [value for curve in curves for value in curve.low[curve.updates >= FIRST_SHOWN * last]]
    tops = [curve.high.max() for curve in curves]
    if target_accuracy is not None:
        shown.append(target_accuracy)
        tops.append(target_accuracy)
    margin = 0.05 * (max(tops) - min(shown)) or 0.01
    axes.set_ylim(min(shown) - margin, max(tops) + margin)
    updates_axis(axes, int(last))


def _label_ends(axes: Axes, curves: Sequence[tuple[Arm, Curve]], looks: Mapping[str, Look]) -> None:
    """Names beside the ends of the curves; a thin line leads from each to its curve."""
    low, high = axes.get_ylim()
    ends = [(curve.mean[-1] - low) / (high - low) for _, curve in curves]
    for (arm, curve), height in zip(curves, spread_out(ends, LABEL_GAP), strict=True):
        look = looks[arm.name]
        axes.annotate(
            arm.name,
            (float(curve.updates[-1]), float(curve.mean[-1])),
            xytext=(1.03, float(height)),
            textcoords="axes fraction",
            fontsize=9.5,
            color=look.text_colour,
            fontweight=look.weight,
            verticalalignment="center",
            parse_math=False,
            arrowprops={**LEADER, "color": look.colour},
        )


def _draw_differences(
    axes: Axes, group: Sequence[ArmSummary], looks: Mapping[str, Look], baseline: str
) -> None:
    arms = [summary for summary in group if summary.arm.name != baseline]
    axes.axvline(0, color=BASELINE, linewidth=1.6, zorder=1)
    for row, summary in enumerate(arms):
        difference, colour = summary.accuracy_difference, looks[summary.arm.name].colour
        if difference is None:
            _note(axes, row, "too few seeds in common")
            continue
        _dots(axes, row, difference.values, colour)
        axes.errorbar(
            difference.mean,
            row,
            xerr=difference.half_width,
            color=colour,
            marker="o",
            markersize=7.5,
            markerfacecolor=colour if difference.excludes_zero else "white",
            markeredgewidth=1.8,
            elinewidth=1.8,
            capsize=4,
            zorder=3,
        )
    _name_rows(axes, [summary.arm.name for summary in arms], looks)
    axes.xaxis.set_major_formatter(FuncFormatter(_points))
    label(axes, title=f"Test accuracy against {baseline}", x="percentage points")


def _draw_accuracies(
    axes: Axes,
    group: Sequence[ArmSummary],
    runs_of: Mapping[Arm, Sequence[Result]],
    looks: Mapping[str, Look],
) -> None:
    """Where nothing is the baseline: each arm by itself."""
    for row, summary in enumerate(group):
        colour = looks[summary.arm.name].colour
        _dots(axes, row, [run.test_accuracy for run in runs_of[summary.arm]], colour)
        axes.plot(summary.test_accuracy.mean, row, marker="o", markersize=7.5, color=colour, zorder=3)
    _name_rows(axes, [summary.arm.name for summary in group], looks)
    percent_axis(axes.xaxis)
    label(axes, title="Test accuracy")


def _dots(axes: Axes, row: int, values: Sequence[float], colour: str) -> None:
    """A little below the row's line, so that neither hides the other."""
    axes.scatter(values, [row + 0.26] * len(values), s=11, color=colour, alpha=0.75, linewidth=0, zorder=2)


def _note(axes: Axes, row: int, text: str) -> None:
    place = axes.get_yaxis_transform()
    axes.text(0.99, row, text, transform=place, fontsize=8.5, color=FAINT, ha="right", va="center")


def _name_rows(axes: Axes, names: Sequence[str], looks: Mapping[str, Look]) -> None:
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.yaxis.tick_right()
    axes.tick_params(axis="y", length=0)
    for text, name in zip(axes.get_yticklabels(), names, strict=True):
        text.set_color(looks[name].text_colour)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _limit_differences(axes: Axes, summaries: Sequence[ArmSummary]) -> None:
    """Of all panels. An interval of two seeds can be so long that it would hide all else: it is cut off."""
    known = [summary.accuracy_difference for summary in summaries if summary.accuracy_difference is not None]
    farthest = max((abs(value) for difference in known for value in difference.values), default=0.0)
    ends = [end for difference in known for end in (difference.low, difference.high)]
    shown = np.clip([0.0, *ends], -LONGEST_WHISKER * farthest, LONGEST_WHISKER * farthest)
    margin = 0.06 * np.ptp(shown) or 0.01
    axes.set_xlim(shown.min() - margin, shown.max() + margin)


def _points(value: float, _: int) -> str:
    return f"{round(value * 100, 6):+g}" if round(value * 100, 6) else "0"


def _on(labels: str) -> str:
    return f" · labels: {labels}" if labels else ""
