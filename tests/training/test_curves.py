"""The picture on disk, and what is drawn, read off the artists."""

from dataclasses import dataclass, replace

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from training import curves
from training.curves import DPI, HEIGHT, WIDTH, draw_curves


@dataclass(frozen=True)
class Record:
    epoch: int
    updates: int
    learning_rate: float
    train_loss: float
    validation_accuracy: float
    validation_nll: float
    rows_visited: int
    selection_overlap: float | None

    @property
    def rank(self) -> tuple[float, float]:
        return self.validation_accuracy, -self.validation_nll


def records(accuracies, overlaps=None):
    overlaps = overlaps or [None] * len(accuracies)
    return [
        Record(epoch, epoch * 20, 0.1 / epoch, 2 / epoch, accuracy, 3 / epoch, 20 - epoch % 5, overlap)
        for epoch, (accuracy, overlap) in enumerate(zip(accuracies, overlaps, strict=True), 1)
    ]


@pytest.fixture
def drawn(monkeypatch):
    """The figures drawn, kept on their way to the file."""
    figures: list[Figure] = []

    def keep(width, height):
        figures.append(curves_new_figure(width, height))
        return figures[-1]

    curves_new_figure = curves.new_figure
    monkeypatch.setattr(curves, "new_figure", keep)
    return figures


def panel(figure, title):
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == title)


@pytest.mark.parametrize("num_records", [1, 2, 300])
def test_any_number_of_records_gives_a_picture(num_records, tmp_path):
    path = tmp_path / "curves.png"
    draw_curves(path, records([0.5 + 0.4 * n / num_records for n in range(num_records)]), title="member-0")
    image = matplotlib.image.imread(path)
    assert image.shape[:2] == (round(HEIGHT * DPI), round(WIDTH * DPI))
    assert image.min() < 0.2
    assert image[0, 0].tolist() == [1, 1, 1, 1]
    assert 0.01 < (image[..., :3].min(axis=2) < 0.95).mean() < 0.5


def test_what_is_noted_is_drawn(drawn, tmp_path):
    rows = records([0.5, 0.75, 0.625], [None, 0.5, 0.0])
    draw_curves(tmp_path / "curves.png", rows, title=r"member-0 $\no$")
    (figure,) = drawn
    losses = panel(figure, "Loss")
    assert [line.get_label() for line in losses.lines] == ["training", "validation"]
    assert losses.lines[0].get_ydata() == pytest.approx([2, 1, 2 / 3])
    assert losses.lines[1].get_ydata() == pytest.approx([3, 1.5, 1])
    assert list(losses.lines[0].get_xdata()) == [20, 40, 60]
    assert list(panel(figure, "Validation accuracy").lines[0].get_ydata()) == [0.5, 0.75, 0.625]
    assert panel(figure, "Learning rate").lines[0].get_ydata() == pytest.approx([0.1, 0.05, 0.1 / 3])
    assert list(panel(figure, "Distinct rows an epoch").lines[0].get_ydata()) == [19, 18, 17]
    overlap = panel(figure, "Overlap of consecutive rounds")
    assert (list(overlap.lines[0].get_xdata()), list(overlap.lines[0].get_ydata())) == ([40, 60], [0.5, 0.0])
    assert [text.get_text() for text in overlap.texts] == []
    assert figure.get_suptitle() == r"member-0 $\no$"


def test_the_best_epoch_is_marked(drawn, tmp_path):
    rows = records([0.5, 0.75, 0.75, 0.625])
    rows[2] = replace(rows[2], validation_nll=0.1)
    draw_curves(tmp_path / "curves.png", rows, title="")
    mark = panel(drawn[0], "Validation accuracy").lines[1]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (60, 0.75)
    assert mark.get_label() == "best: 75.0%, epoch 3 of 4"


def test_one_point_is_seen(drawn, tmp_path):
    draw_curves(tmp_path / "curves.png", records([0.5]), title="")
    assert {line.get_marker() for line in panel(drawn[0], "Loss").lines} == {"o"}
    draw_curves(tmp_path / "curves.png", records(np.linspace(0, 1, 50)), title="")
    assert {line.get_marker() for line in panel(drawn[1], "Loss").lines} == {"None"}


def test_where_there_is_no_overlap_the_picture_says_so(drawn, tmp_path):
    draw_curves(tmp_path / "curves.png", records([0.5, 0.6]), title="")
    assert [text.get_text() for text in panel(drawn[0], "Overlap of consecutive rounds").texts] == [
        "none recorded"
    ]
