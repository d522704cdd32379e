"""What is drawn, read off the artists."""

from pathlib import Path

import pytest

from loadtest.figures.results import Results
from loadtest.report.plot_quality import dodges_points, draw_cost_and_quality, draw_risk_coverage
from tests.loadtest.tiny_campaign import results_of
from tests.loadtest.tiny_server import TinyServer


def test_neighbours_are_dodged_about_their_costs_and_others_are_not() -> None:
    dodges = dodges_points({"a": 1.0, "c": 1.31, "b": 1.3, "d": 3.0})
    assert dodges == {"a": 0.0, "b": -4.0, "c": 4.0, "d": 0.0}
    crowd = dodges_points({str(number): 1.0 for number in range(5)})
    assert list(crowd.values()) == [-6.0, -3.0, 0.0, 3.0, 6.0]


def test_cost_and_quality_are_drawn_at_their_values_and_within_the_picture(results: Results) -> None:
    figure = draw_cost_and_quality(results)
    assert figure is not None
    for axes, values in zip(figure.axes, ((0.9,) * 3, (0.5,) * 3, (0.2,) * 3), strict=True):
        marks = [container.lines[0] for container in axes.containers]  # type: ignore[attr-defined]
        assert [mark.get_xdata()[0] for mark in marks] == pytest.approx([1.0, 1.6, 4.0])
        assert [mark.get_ydata()[0] for mark in marks] == pytest.approx(values)
        low, high = axes.get_ylim()
        assert low < values[0] < high
        assert high - low < 1


def test_plain_models_have_neither_cost_nor_scores(server: TinyServer, tmp_path: Path) -> None:
    results = results_of(server, tmp_path, models=("tiny-0",), capacity_s=0)
    assert draw_cost_and_quality(results) is None
    assert draw_risk_coverage(results) is None
