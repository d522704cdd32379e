"""What is drawn, read off the artists."""

from dataclasses import replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.container import BarContainer

from loadtest.figures.results import Results
from loadtest.report.plot_exits import draw_exits
from tests.loadtest.tiny_campaign import results_of
from tests.loadtest.tiny_server import TinyServer


def bars_of(axes: Axes) -> list[tuple[list[float], bool]]:
    """Of each part, the shares of the contenders, and whether it is hatched as rejected."""
    parts = []
    for container in axes.containers:
        assert isinstance(container, BarContainer)
        widths = [round(float(bar.get_width()), 6) for bar in container]
        parts.append((widths, bool(container[0].get_hatch())))
    return parts


def test_exits_tell_accepted_from_rejected(results: Results) -> None:
    """Of scores 0.05 ... 0.95, 0.45 and 0.55 go on under `window`; here only those above 0.7 are accepted."""
    censuses = {
        case: replace(census, rows=replace(census.rows, accepted=census.rows.score > 0.7))
        for case, census in results.campaign.censuses.items()
    }
    figure = draw_exits(replace(results, campaign=replace(results.campaign, censuses=censuses)))
    assert figure is not None
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "window", "full"]
    assert bars_of(axes)[:4] == [
        ([0.3, 0.3, 0.0], False),
        ([0.7, 0.5, 0.0], True),
        ([0.0, 0.0, 0.3], False),
        ([0.0, 0.2, 0.7], True),
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["stage 1", "stage 2", "rejected"]


def test_plain_models_have_no_exits_to_draw(server: TinyServer, tmp_path: Path) -> None:
    assert draw_exits(results_of(server, tmp_path, models=("tiny-0",), capacity_s=0)) is None
