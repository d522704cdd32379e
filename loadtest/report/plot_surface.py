"""Heat maps of rate and difficulty, a line of two for each case."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, TwoSlopeNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from cascade.report.plot_style import INK
from loadtest.case import Case
from loadtest.figures.probe import Goal, Probe, Surface
from loadtest.report.plot_style import ink_on, label, new_figure
from loadtest.report.sweep_words import cases_of, difficulty_text
from loadtest.report.wording import milliseconds, percent

Read = Callable[[Probe], float]
Array = NDArray[np.float64]
NO_ANSWER_TEXT = "∞"
# The middle of the colours is the goal; so far from it, either way, they end.
LATENCY_SPAN = 8.0
# Of the colours above a goal of all rows.
LEAST_SLOPE = 0.001


def draw_surface(surface: Surface, goal: Goal) -> Figure | None:
    """None where there is but one difficulty."""
    if len(surface.hard_shares) < 2:
        return None
    cases = cases_of(surface)
    height = 0.7 + len(cases) * (0.75 + 0.34 * len(surface.hard_shares))
    figure, panels = new_figure(height, 2, len(cases))
    for number, case in enumerate(cases):
        latency, kept = panels[2 * number], panels[2 * number + 1]
        _draw_latency(latency, surface, case, goal)
        _draw_kept(kept, surface, case, goal)
        latency.set_ylabel("hard rows", fontsize=10, color=INK)
    for axes in panels[-2:]:
        axes.set_xlabel("requests/s offered", fontsize=10, color=INK)
    return figure


def _draw_latency(axes: Axes, surface: Surface, case: Case, goal: Goal) -> None:
    values = _grid(surface, case, lambda p: getattr(p.load.latency, f"{goal.percentile}_ms"))
    worst = goal.latency_ms * LATENCY_SPAN
    norm = LogNorm(goal.latency_ms / LATENCY_SPAN, worst, clip=True)
    image = axes.imshow(np.where(np.isfinite(values), values, worst), "RdYlBu_r", norm, aspect="auto")
    _name_cells(image, surface, values, lambda v: milliseconds(v) if np.isfinite(v) else NO_ANSWER_TEXT)
    label(axes, title=f"{case.name}: {goal.percentile}, ms")


def _draw_kept(axes: Axes, surface: Surface, case: Case, goal: Goal) -> None:
    """The goal is in the middle of the colours here too."""
    values = _grid(surface, case, lambda p: p.under_load.kept)
    norm = TwoSlopeNorm(min(goal.share, 1 - LEAST_SLOPE), 0.0, 1.0)
    image = axes.imshow(values, "RdYlBu", norm, aspect="auto")
    _name_cells(image, surface, values, lambda v: percent(v, 0))
    label(axes, title=f"{case.name}: rows kept")


def _grid(surface: Surface, case: Case, read: Read) -> Array:
    """(hard shares, rates)."""
    return np.array([[read(p) for p in surface.of(case, share)] for share in surface.hard_shares], np.float64)


def _name_cells(image: AxesImage, surface: Surface, values: Array, text: Callable[[float], str]) -> None:
    axes, drawn = image.axes, np.asarray(image.get_array())
    assert axes is not None
    for (row, column), value in np.ndenumerate(values):
        red, green, blue = (float(part) for part in image.cmap(image.norm(drawn[row, column]))[:3])
        ink = ink_on(to_hex((red, green, blue)))
        axes.text(column, row, text(float(value)), ha="center", va="center", fontsize=9, color=ink)
    axes.set_xticks(range(len(surface.rates)), [f"{rate:g}" for rate in surface.rates])
    axes.set_yticks(range(len(surface.hard_shares)), [difficulty_text(s) for s in surface.hard_shares])
    axes.grid(visible=False)
    axes.tick_params(length=0)
