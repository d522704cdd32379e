"""How pictures look: light, few lines, a policy in the same colour everywhere. No global state."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cascade.report.plot_style import FAINT, GRID, INK, KNOWN

GOOD = "#2f855a"
# A policy of a usual name has the colour that it has in the report of its fit; these are for others.
OTHERS = ("#d55e00", "#56b4e9", "#a16207", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#6b7280")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "h")
# Of the colour map of stages; its lightest part is too near to white.
LIGHTEST_STAGE = 0.3
DPI = 170
WIDTH = 10.0
# What a legend's entry takes: its key and the space around it, and each letter of its text.
KEY_INCHES = 0.65
LETTER_INCHES = 0.085


def blank_figure(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def new_figure(
    height: float, num_columns: int = 1, num_rows: int = 1, *, share_x: bool = False, share_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Panels row by row, `height` in inches."""
    figure = blank_figure(height)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06))
    grid = figure.subplots(num_rows, num_columns, squeeze=False, sharex=share_x, sharey=share_y)
    axes = [grid[row, column] for row in range(num_rows) for column in range(num_columns)]
    for panel in axes:
        plain(panel)
    return figure, axes


def plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=9.5, length=3)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def label(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold", parse_math=False)
    axes.set_xlabel(x, fontsize=10, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=10, color=INK, parse_math=False)


def percent_axis(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value * 100, 6):g}%"))


def log_axis(axis: Axis) -> None:
    """Of milliseconds or rates, marked at 1, 2 and 5 of each decade. Its scale must be set already."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def legend_above(figure: Figure, panels: Sequence[Axes], num_columns: int = 8) -> None:
    """One legend for all panels, outside them, so that it can hide nothing; as many columns as fit."""
    entries: dict[str, Artist] = {}
    for panel in panels:
        for handle, text in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    entry_inches = KEY_INCHES + LETTER_INCHES * max(map(len, entries))
    legend = figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper left",
        ncols=max(1, min(num_columns, len(entries), int(WIDTH / entry_inches))),
        frameon=False,
        fontsize=10,
        labelcolor=INK,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def contender_colours(names: Sequence[str]) -> dict[str, str]:
    """The same in every picture and table of a report, as long as there are no more names than colours."""
    taken = {KNOWN[name] for name in names if name in KNOWN}
    free = [colour for colour in OTHERS if colour not in taken]
    strangers = [name for name in names if name not in KNOWN]
    return {name: KNOWN[name] if name in KNOWN else free[strangers.index(name) % len(free)] for name in names}


def contender_markers(names: Sequence[str]) -> dict[str, str]:
    return {name: MARKERS[index % len(MARKERS)] for index, name in enumerate(names)}


def stage_colours(num_stages: int) -> list[str]:
    """Each stage has a colour of its own; deeper ones are darker."""
    return [to_hex(colormaps["YlGnBu"](share)) for share in np.linspace(LIGHTEST_STAGE, 1.0, num_stages)]


def ink_on(colour: str) -> str:
    """What can be read on a colour: dark on light ones, white on dark ones."""
    luminance = np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722))
    return INK if luminance > 0.55 else "white"


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
