"""Rows as one sees them, by what became of them. Only for inputs that look like images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

from cascade.report.plot_style import BAD, FAINT, INK
from loadtest.figures.results import Results
from loadtest.measure.campaign import case_id
from loadtest.report.plot_style import GOOD, blank_figure
from loadtest.traffic.samples import Samples
from loadtest.wire.rows import Rows

PER_GROUP = 12
SHELF_HEIGHT = 0.95
# Room for the captions of the first shelf.
HEAD_HEIGHT = 0.22
CAPTION_SIZE = 8.5
# Of an image's width: captions may reach a little into the gap.
CAPTION_WIDTH = 1.08
CHANNELS = (1, 3)


@dataclass(frozen=True)
class _Shelf:
    """A line of images: some rows of some samples, and the answers to them."""

    title: str
    samples: Samples
    rows: Rows
    chosen: NDArray[np.intp]


def draw_gallery(results: Results) -> Figure | None:
    """None where no input looks like an image, or the judged is no cascade."""
    campaign, cascade = results.campaign, results.judged.case.cascade
    if cascade is None or _images(campaign.samples) is None:
        return None
    shelves = [shelf for shelf in _shelves(results) if len(shelf.chosen)]
    height = SHELF_HEIGHT * len(shelves) + HEAD_HEIGHT
    figure = blank_figure(height)
    figure.subplots_adjust(
        left=0.01, right=0.99, top=1 - HEAD_HEIGHT / height, bottom=0.01, wspace=0.12, hspace=0.3
    )
    grid = figure.subplots(len(shelves), PER_GROUP + 2, squeeze=False)
    for shelf, line in zip(shelves, grid, strict=True):
        _draw_shelf(list(line), shelf, cascade.classes)
    return figure


def _images(samples: Samples) -> NDArray[np.uint8] | None:
    """The first input of bytes shaped (rows, height, width, 1 or 3)."""
    for tensor in samples.inputs:
        if tensor.datatype == "UINT8" and tensor.array.ndim == 4 and tensor.shape[3] in CHANNELS:
            return tensor.array
    return None


def _shelves(results: Results) -> list[_Shelf]:
    campaign = results.campaign
    census = campaign.censuses[case_id(results.judged.case)]
    rows = census.rows
    masks = {
        "sure at\nstage 1": (rows.exit_stage == 1) & rows.accepted,
        "went on,\naccepted": (rows.exit_stage > 1) & rows.accepted,
        "rejected": ~rows.accepted,
    }
    shelves = [_Shelf(title, campaign.samples, rows, _some(mask)) for title, mask in masks.items()]
    if campaign.ood is not None and census.ood is not None:
        everything = np.ones(len(campaign.ood), np.bool_)
        shelves.append(_Shelf("out of\ndistribution", campaign.ood, census.ood, _some(everything)))
    return shelves


def _some(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    rows = np.flatnonzero(mask)
    return np.random.default_rng(0).permutation(rows)[:PER_GROUP]


def _draw_shelf(line: list[Axes], shelf: _Shelf, classes: tuple[str, ...]) -> None:
    for axes in line:
        axes.set_axis_off()
    line[0].text(0.0, 0.5, shelf.title, fontsize=10.5, color=INK, fontweight="bold", va="center")
    images = _images(shelf.samples)
    if images is None:
        return
    for axes, row in zip(line[2:], shelf.chosen, strict=False):
        image: Any = images[row]
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        template, colour = _caption(shelf, int(row))
        text = _fitted(axes, template, classes[shelf.rows.label[row]])
        axes.set_title(text, fontsize=CAPTION_SIZE, color=colour, pad=3, parse_math=False)


def _caption(shelf: _Shelf, row: int) -> tuple[str, str]:
    """What to say of the answer `{}`, and in which colour; out of distribution only silence is right."""
    rows, labels = shelf.rows, shelf.samples.labels
    if labels is None:
        return ("as {}", BAD) if rows.accepted[row] else ("rejected", GOOD)
    confidence = f"{rows.confidence[row]:.0%}"
    if rows.label[row] == labels[row]:
        return f"{{}}  {confidence}", GOOD if rows.accepted[row] else FAINT
    return f"{{}} ✗  {confidence}", BAD


def _fitted(axes: Axes, template: str, name: str) -> str:
    """The caption with as much of the name as the image is wide."""
    allowed = axes.bbox.width * CAPTION_WIDTH
    cuts = (f"{name[:length].rstrip()}…" for length in range(len(name) - 1, 0, -1))
    for cut in (name, *cuts):
        text = template.format(cut)
        if _width(axes, text) <= allowed:
            return text
    return text


def _width(axes: Axes, text: str) -> float:
    """In pixels."""
    canvas: Any = axes.figure.canvas
    renderer = canvas.get_renderer()
    font = FontProperties(size=CAPTION_SIZE)
    return float(renderer.get_text_width_height_descent(text, font, ismath=False)[0])
