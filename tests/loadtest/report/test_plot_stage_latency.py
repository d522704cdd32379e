"""What is drawn, read off the artists."""

from dataclasses import replace

import numpy as np
import pytest

from loadtest.figures.results import Results
from loadtest.figures.statistics import latency
from loadtest.report.plot_stage_latency import draw_stage_latency
from loadtest.report.plot_style import png
from tests.loadtest.report.made_samples import made_samples


def staged(results: Results) -> Results:
    """150 requests leave at stage 1 within 2 ms, 50 at stage 2 within 20 ms, all under `window`."""
    stages = [1] * 150 + [2] * 50
    samples = made_samples(
        intended_s=[0.0] * 200,
        done_s=[0.002 if stage == 1 else 0.02 for stage in stages],
        status=[0] * 200,
        exit_stage=stages,
    )
    by_stage = {1: latency(np.full(150, 2.0)), 2: latency(np.full(50, 20.0))}
    cases = tuple(replace(c, load=replace(c.load, by_exit_stage=by_stage)) for c in results.cases)
    runs = {case: replace(run, samples=samples) for case, run in results.campaign.loads.items()}
    return replace(results, cases=cases, campaign=replace(results.campaign, loads=runs))


def test_each_stage_has_a_ridge_where_its_latencies_lie(results: Results) -> None:
    figure = draw_stage_latency(staged(results))
    assert figure is not None
    http, _ = figure.axes
    assert http.get_title(loc="left") == "window over http"
    assert [text.get_text() for text in http.get_yticklabels()] == [
        "all",
        "stage 1",
        "stage 2",
    ]
    texts = [text.get_text() for text in http.texts]
    # Of fewer than 100 requests there is no p99.
    assert [text for text in texts if "%" in text] == ["100.0%", "75.0%", "25.0%"]
    figures = [text for text in texts if "%" not in text]
    assert figures == ["p50 2.00", "p99 20.0", "p50 2.00", "p99 2.00", "p50 20.0"]
    peaks = [
        float(np.asarray(line.get_xdata())[np.argmax(line.get_ydata())])
        for line in http.lines
        if len(np.asarray(line.get_xdata())) > 2
    ]
    assert peaks == pytest.approx([2.0, 2.0, 20.0], rel=0.05)
    assert len(png(figure)) > 1000


def test_requests_that_all_leave_at_one_stage_are_not_drawn(results: Results) -> None:
    cases = tuple(
        replace(case, load=replace(case.load, by_exit_stage={1: case.load.latency})) for case in results.cases
    )
    assert draw_stage_latency(replace(results, cases=cases)) is None
