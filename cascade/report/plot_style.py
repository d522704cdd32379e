"""How pictures look: light, few lines, a policy in the same colour everywhere. No global state."""

import io
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

INK = "#1f2933"
FAINT = "#7b8794"
PALE = "#a9d6f5"
GRID = "#e4e7eb"
BAD = "#c53030"
STRANGE = "#6b46c1"
# Told apart with any colour vision; after Okabe & Ito.
KNOWN = {
    "first": "#6b7280",
    "threshold": "#e69f00",
    "paper": "#009e73",
    "window": "#0072b2",
    "full": "#cc79a7",
}
OTHERS = ("#d55e00", "#56b4e9", "#a16207", "#0072b2", "#e69f00", "#009e73")
MARKERS = {"first": "o", "threshold": "s", "paper": "D", "window": "^", "full": "v"}
OTHER_MARKERS = ("P", "X", "h", "*", "p", "d")
# Broken lines are drawn over whole ones, so that of two that coincide both are seen.
DASHES = {"paper": (0, (4, 2)), "threshold": (0, (1, 1)), "first": (0, (6, 1, 1, 1))}
DPI = 170
WIDTH = 10.0
# What a legend's entry takes: its key and the space around it, and each letter of its text.
KEY_INCHES = 0.65
LETTER_INCHES = 0.085
LONGEST_NAME = 11


def new_figure(
    height: float, num_columns: int = 1, num_rows: int = 1, *, width: float = WIDTH
) -> tuple[Figure, list[list[Axes]]]:
    """A grid of panels, sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08))
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    axes = [[grid[row, column] for column in range(num_columns)] for row in range(num_rows)]
    for panel in (panel for line in axes for panel in line):
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


def legend_above(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, outside them, so that it can hide nothing; as many columns as fit."""
    entries: dict[str, Artist] = {}
    for panel in panels:
        for handle, text in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    entry_inches = KEY_INCHES + LETTER_INCHES * max(map(len, entries))
    columns = max(1, min(len(entries), int(figure.get_figwidth() / entry_inches)))
    legend = figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=10,
        labelcolor=INK,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def policy_colours(names: Sequence[str]) -> dict[str, str]:
    return _assigned(names, KNOWN, OTHERS)


def policy_markers(names: Sequence[str]) -> dict[str, str]:
    return _assigned(names, MARKERS, OTHER_MARKERS)


def marker_size(name: str, names: Sequence[str]) -> float:
    """Later ones are drawn over earlier ones, and smaller, so that of two that coincide both are seen."""
    return max(6.5, 11.0 - names.index(name))


def short(name: str) -> str:
    """What fits into the title of a narrow panel."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def policy_order(name: str) -> float:
    return 3.0 if name in DASHES else 2.0


def policy_dashes(name: str) -> str | tuple[int, tuple[int, ...]]:
    return DASHES.get(name, "-")


def _assigned(names: Sequence[str], known: dict[str, str], others: Sequence[str]) -> dict[str, str]:
    """What is known keeps its own; the others take what is left, in order."""
    strangers = [name for name in names if name not in known]
    return {
        name: known[name] if name in known else others[strangers.index(name) % len(others)] for name in names
    }


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
