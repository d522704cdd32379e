"""What is drawn, read off the artists."""

import pytest
from matplotlib.patches import Rectangle

from loadtest.figures.results import Results
from loadtest.report.plot_scores import draw_stage1_scores
from loadtest.report.plot_style import contender_colours


def test_windows_are_shaded_behind_the_bars_and_edged_above_them(results: Results) -> None:
    figure = draw_stage1_scores(results)
    assert figure is not None
    (axes,) = figure.axes
    (window,) = [p for p in axes.patches if p.get_label() == "window: forwarded"]
    assert isinstance(window, Rectangle)
    assert (window.get_x(), window.get_x() + window.get_width()) == pytest.approx((0.4, 0.6))
    bars = [p for p in axes.patches if p is not window]
    assert window.get_zorder() < min(bar.get_zorder() for bar in bars)
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([0.4, 0.6])  # type: ignore[index]
    assert min(line.get_zorder() for line in axes.lines) > max(bar.get_zorder() for bar in bars)
    colour = contender_colours(results.campaign.contenders)["window"]
    assert {line.get_color() for line in axes.lines} == {colour}


def test_scores_out_of_distribution_lie_within_the_picture(results: Results) -> None:
    figure = draw_stage1_scores(results)
    assert figure is not None
    assert figure.axes[0].get_xlim() == pytest.approx((-3.0, 2.0))
