"""What is drawn, read off the artists."""

from dataclasses import replace

import numpy as np
import pytest

from loadtest.figures.results import Results
from loadtest.generator.load_samples import LoadSamples
from loadtest.report.plot_latency import draw_latency
from loadtest.report.plot_style import png
from tests.loadtest.report.made_samples import made_samples


def with_load(results: Results, samples: LoadSamples) -> Results:
    runs = {case: replace(run, samples=samples) for case, run in results.campaign.loads.items()}
    return replace(results, campaign=replace(results.campaign, loads=runs))


def waiting_samples(status: list[int]) -> LoadSamples:
    """Ten requests that wait 100 ms for a slot and are then served within 1 to 10 ms."""
    intended = np.arange(10.0)
    return made_samples(
        intended_s=intended.tolist(),
        done_s=(intended + 0.1 + np.arange(1, 11) * 1e-3).tolist(),
        status=status,
        exit_stage=[1 - each for each in status],
        waits_s=0.1,
    )


def test_latency_is_drawn_from_the_intended_send_up_to_the_requests_without_an_answer(
    results: Results,
) -> None:
    figure = draw_latency(with_load(results, waiting_samples([0] * 9 + [1])))
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["first", "window", "full"]
        for line in axes.lines:
            assert line.get_ydata() == pytest.approx(np.arange(101, 110))
            assert line.get_xdata() == pytest.approx(-np.log10(1 - np.arange(9) / 10))


def test_a_load_without_a_single_answer_is_drawn_too(results: Results) -> None:
    """As when the server dies before the first: a logarithmic axis has no limits to take from the data."""
    figure = draw_latency(with_load(results, waiting_samples([1] * 10)))
    assert all(np.size(line.get_xdata()) == 0 for axes in figure.axes for line in axes.lines)
    assert len(png(figure)) > 1000
