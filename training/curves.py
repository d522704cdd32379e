"""The course of one training as a picture, and how the pictures of trainings look. No global state."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.typing import HashableList

from training.atomic import replacing

INK = "#1f2933"
FAINT = "#7b8794"
GRID = "#e4e7eb"
# Told apart with any colour vision; after Okabe & Ito.
BLUE = "#0072b2"
ORANGE = "#d55e00"
DPI = 170
WIDTH = 10.0
HEIGHT = 6.4
# So many points or fewer are marked each: a line of one point would not be seen.
FEW_POINTS = 12
MANY_POINTS = 100
HEADROOM = 1.05
# A panel above is half as wide as the picture, one below a third.
MOSAIC: list[HashableList[str]] = [
    ["losses", "losses", "losses", "accuracy", "accuracy", "accuracy"],
    ["rate", "rate", "rows", "rows", "overlap", "overlap"],
]


class Epoch(Protocol):
    """What is drawn of a training.records.EpochRecord, which says what each is."""

    @property
    def epoch(self) -> int: ...
    @property
    def updates(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def validation_accuracy(self) -> float: ...
    @property
    def validation_nll(self) -> float: ...
    @property
    def rows_visited(self) -> int: ...
    @property
    def selection_overlap(self) -> float | None: ...
    @property
    def rank(self) -> tuple[float, float]: ...


def draw_curves(path: Path, records: Sequence[Epoch], *, title: str) -> None:
    """Writes a PNG of one training, from one record or more."""
    figure = new_figure(WIDTH, HEIGHT)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, color=INK, fontweight="bold", parse_math=False)
    panels = figure.subplot_mosaic(MOSAIC, sharex=True)
    for axes in panels.values():
        plain(axes)
        updates_axis(axes, records[-1].updates)
    _draw_losses(panels["losses"], records)
    _draw_accuracy(panels["accuracy"], records)
    _draw_rate(panels["rate"], records)
    _draw_rows(panels["rows"], records)
    _draw_overlap(panels["overlap"], records)
    with replacing(path) as file:
        figure.savefig(file, format="png")


def _draw_losses(axes: Axes, records: Sequence[Epoch]) -> None:
    _line(axes, records, [record.train_loss for record in records], BLUE, name="training")
    _line(axes, records, [record.validation_nll for record in records], ORANGE, name="validation")
    axes.legend(frameon=False, fontsize=9.5, labelcolor=INK, loc="best")
    label(axes, title="Loss")


def _draw_accuracy(axes: Axes, records: Sequence[Epoch]) -> None:
    _line(axes, records, [record.validation_accuracy for record in records], ORANGE)
    best = max(records, key=lambda record: record.rank)
    axes.plot(
        best.updates,
        best.validation_accuracy,
        marker="o",
        markersize=8,
        color=ORANGE,
        markeredgecolor="white",
        markeredgewidth=1.5,
        linestyle="none",
        label=f"best: {best.validation_accuracy:.1%}, epoch {best.epoch} of {records[-1].epoch}",
        zorder=4,
    )
    axes.legend(frameon=False, fontsize=9.5, labelcolor=INK, loc="best")
    percent_axis(axes.yaxis)
    label(axes, title="Validation accuracy")


def _draw_rate(axes: Axes, records: Sequence[Epoch]) -> None:
    _line(axes, records, [record.learning_rate for record in records], INK)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    label(axes, title="Learning rate", x="updates")


def _draw_rows(axes: Axes, records: Sequence[Epoch]) -> None:
    _line(axes, records, [record.rows_visited for record in records], BLUE)
    axes.set_ylim(0, HEADROOM * max(record.rows_visited for record in records))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    label(axes, title="Distinct rows an epoch", x="updates")


def _draw_overlap(axes: Axes, records: Sequence[Epoch]) -> None:
    known = [(record, record.selection_overlap) for record in records if record.selection_overlap is not None]
    _line(axes, [record for record, _ in known], [overlap for _, overlap in known], BLUE)
    axes.set_ylim(0, HEADROOM)
    percent_axis(axes.yaxis)
    label(axes, title="Overlap of consecutive rounds", x="updates")
    if not known:
        axes.text(0.5, 0.5, "none recorded", transform=axes.transAxes, ha="center", color=FAINT)


def _line(
    axes: Axes, records: Sequence[Epoch], values: Sequence[float], colour: str, *, name: str | None = None
) -> None:
    axes.plot(
        [record.updates for record in records],
        values,
        color=colour,
        linewidth=1.8 if len(records) <= MANY_POINTS else 1.2,
        marker="o" if len(records) <= FEW_POINTS else None,
        markersize=4,
        label=name,
    )


def new_figure(width: float, height: float) -> Figure:
    """Sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08))
    return figure


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


def updates_axis(axes: Axes, last: int) -> None:
    axes.set_xlim(0, last * HEADROOM)
    axes.tick_params(axis="x", labelbottom=True)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))


def _thousands(value: float, _: object) -> str:
    return f"{value:,.0f}"


def percent_axis(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value * 100, 6):g}%"))
