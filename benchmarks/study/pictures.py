"""Pictures of the report, as PNG."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.study.contenders import (
    FULL,
    FULL_OF_THREE,
    SINGLE,
    THRESHOLD,
    UPWARDS,
    WINDOW,
    WINDOW_OF_THREE,
)
from benchmarks.study.figures import FIGURES
from benchmarks.study.findings import arm_name
from benchmarks.study.sizes import NONE
from benchmarks.study.windows import ALL, OBJECTIVES
from benchmarks.study.words import CPU, MACS, Record
from cascade.report.plot_style import (
    FAINT,
    INK,
    KNOWN,
    OTHERS,
    STRANGE,
    label,
    legend_above,
    new_figure,
    percent_axis,
    png,
)

DRAWN = {
    SINGLE.name: (KNOWN["first"], "o"),
    FULL.name: (KNOWN["full"], "v"),
    THRESHOLD.name: (KNOWN["threshold"], "s"),
    WINDOW.name: (KNOWN["window"], "^"),
    FULL_OF_THREE.name: (OTHERS[0], "P"),
    WINDOW_OF_THREE.name: (OTHERS[1], "D"),
    UPWARDS.name: (OTHERS[2], "X"),
}
FITS = {
    "threshold": KNOWN["threshold"],
    "paper": KNOWN["paper"],
    "ours": KNOWN["window"],
    "oracle": STRANGE,
}
AXES = {MACS: "multiply-adds a row", CPU: "CPU ms a row"}
VERDICT_WIDTH = 1.6


def scaling_picture(judged: Sequence[Record], figure: str) -> bytes:
    """A figure over multiply-adds and over the server's CPU time, where there is one; each line is one
    contender over models."""
    units = [unit for unit in AXES if unit in judged[0]]
    drawing, panels = new_figure(4.6, len(units))
    for axes, cost in zip(panels[0], units, strict=True):
        for contender, (colour, marker) in DRAWN.items():
            _line(
                axes,
                [each for each in judged if each["contender"] == contender],
                cost,
                figure,
                colour,
                marker,
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(_cost_label))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(_ticks(axes))
        if FIGURES[figure].is_share:
            percent_axis(axes.yaxis)
        label(axes, title=_heading(figure) if cost == MACS else "", x=AXES[cost])
    legend_above(drawing, panels[0])
    return png(drawing)


def _heading(figure: str) -> str:
    of = FIGURES[figure]
    return of.title if of.direction > 0 else f"{of.title} (lower is better)"


def _line(axes: Axes, records: Sequence[Record], cost: str, figure: str, colour: str, marker: str) -> None:
    found = [each["figures"][figure] for each in records]
    values = [each["value"] for each in found]
    axes.errorbar(
        [each[cost][FIGURES[figure].cost] for each in records],
        values,
        yerr=[
            [each["value"] - each["low"] for each in found],
            [each["high"] - each["value"] for each in found],
        ],
        label=records[0]["contender"],
        color=colour,
        marker=marker,
        markersize=6,
        linewidth=1.3,
        elinewidth=0.9,
        capsize=2,
        alpha=0.9,
    )


def _ticks(axes: Axes) -> list[float]:
    low, high = axes.get_xlim()
    candidates = [factor * 10.0**power for power in range(-3, 10) for factor in (1, 2, 5)]
    return [tick for tick in candidates if low <= tick <= high]


def _cost_label(cost: float, _: int) -> str:
    return f"{cost / 1e6:g} M" if cost >= 1e4 else f"{cost:g}"


def selections_picture(arms: Sequence[Record], figures: Sequence[str]) -> bytes:
    """Differences to plain training with their intervals, a column a figure, a row an ensemble."""
    label_sets = list(dict.fromkeys(arm["labels"] for arm in arms))
    drawing, panels = new_figure(2.9 * len(label_sets), len(figures), len(label_sets))
    for line, labels in zip(panels, label_sets, strict=True):
        here = [arm for arm in arms if arm["labels"] == labels and arm["selection"] != NONE]
        for axes, figure in zip(line, figures, strict=True):
            for place, arm in enumerate(here):
                _whisker(axes, place, arm["against_plain"][figure])
            axes.axvline(0, color=FAINT, linewidth=1)
            axes.set_ylim(len(here) - 0.5, -0.5)
            axes.set_yticks(
                range(len(here)), [arm_name(arm) for arm in here] if axes is line[0] else [""] * len(here)
            )
            label(
                axes,
                title=_heading(figure) if line is panels[0] else "",
                x="points against two plain members" if line is panels[-1] else "",
                y=f"{labels} labels" if axes is line[0] else "",
            )
    return png(drawing)


def _whisker(axes: Axes, place: int, difference: Record) -> None:
    is_known = not difference["low"] <= 0 <= difference["high"]
    colour = KNOWN["window"] if is_known else FAINT
    ends = [100 * difference["low"], 100 * difference["high"]]
    axes.plot(ends, [place, place], color=colour, linewidth=VERDICT_WIDTH)
    axes.plot([100 * difference["value"]], [place], color=colour, marker="o", markersize=6)


def windows_picture(cells: Sequence[Record]) -> bytes:
    """The value over budgets, of all models together: lines of fits, between one member and both."""
    drawing, panels = new_figure(4.4, len(OBJECTIVES))
    for axes, objective in zip(panels[0], OBJECTIVES, strict=True):
        here = [cell for cell in cells if cell["model"] == ALL and cell["objective"] == objective]
        budgets = [cell["budget"] for cell in here]
        for name, colour in FITS.items():
            values = [cell["oracle"] if name == "oracle" else cell["values"][name]["value"] for cell in here]
            axes.plot(budgets, values, label=name, color=colour, marker="o", markersize=4, linewidth=1.6)
        for name in ("first", "full"):
            level = here[0]["values"][name]["value"]
            axes.axhline(level, label=name, color=KNOWN[name], linestyle="--", linewidth=1.2)
        percent_axis(axes.yaxis)
        label(axes, title=_heading(objective), x="budget (multiple of the first member)")
    legend_above(drawing, panels[0])
    return png(drawing)


def served_picture(cases: Sequence[Record]) -> bytes:
    """CPU time against the multiply-adds promised, and what each cascade serves."""
    drawing, panels = new_figure(4.6, 2)
    promised, speed = panels[0]
    markers = dict(zip(dict.fromkeys(case["cascade"] for case in cases), "osD^vPXh", strict=False))
    for case in cases:
        colour = KNOWN[case["policy"]]
        promised.plot(
            case["cost"], case["cpu_ratio"], marker=markers[case["cascade"]], color=colour, markersize=7
        )
        coverage = case["coverage"]
        speed.errorbar(
            case["rows_per_s"],
            coverage["value"],
            yerr=[[coverage["value"] - coverage["low"]], [coverage["high"] - coverage["value"]]],
            marker=markers[case["cascade"]],
            color=colour,
            markersize=7,
            elinewidth=0.9,
        )
    ends = [1.0, max(case["cost"] for case in cases)]
    promised.plot(ends, ends, color=INK, linewidth=1, linestyle="--")
    label(
        promised,
        title="CPU time for the multiply-adds promised",
        x="multiply-adds, × the first stage",
        y="CPU, × the first stage",
    )
    label(
        speed, title="What one core serves", x="rows/s at saturation", y="coverage at the deployed threshold"
    )
    speed.set_xscale("log")
    speed.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:,.0f}"))
    speed.xaxis.set_minor_formatter(NullFormatter())
    speed.set_xticks(_ticks(speed))
    percent_axis(speed.yaxis)
    for name, marker in markers.items():
        speed.plot([], [], linestyle="none", marker=marker, color=FAINT, label=name)
    for policy in dict.fromkeys(case["policy"] for case in cases):
        speed.plot([], [], linestyle="none", marker="o", color=KNOWN[policy], label=policy)
    legend_above(drawing, [speed])
    return png(drawing)
