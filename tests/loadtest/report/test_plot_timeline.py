"""What is drawn, read off the artists."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loadtest.figures.results import Results
from loadtest.generator.load_samples import LoadSamples
from loadtest.report.plot_style import png
from loadtest.report.plot_timeline import burst_spans, draw_timeline
from loadtest.traffic.difficulty import HardBursts
from loadtest.wire.client import Status
from tests.loadtest.report.made_samples import made_samples


def changed(results: Results, samples: LoadSamples, **load: Any) -> Results:
    campaign = results.campaign
    runs = {case: replace(run, samples=samples) for case, run in campaign.loads.items()}
    config = replace(campaign.config, load=replace(campaign.config.load, **load))
    return replace(results, campaign=replace(campaign, loads=runs, config=config))


def three_seconds() -> LoadSamples:
    """A request in each tenth of a second of two blocks of 1.5 s; one is shed, one fails."""
    intended = np.tile(np.arange(0, 1.5, 0.1), 2)
    status = [Status.OK] * 30
    status[3], status[20] = Status.SHED, Status.BROKEN
    return made_samples(
        block=[0] * 15 + [1] * 15,
        intended_s=intended.tolist(),
        done_s=(intended + 0.004).tolist(),
        status=status,
        exit_stage=[0 if each else 1 for each in status],
    )


def test_bursts_are_shaded_where_all_rows_are_hard() -> None:
    assert burst_spans(HardBursts(on_s=1, period_s=5), 12.0) == [(4.0, 5.0), (9.0, 10.0)]
    assert burst_spans(HardBursts(on_s=2, period_s=5), 9.5) == [(3.0, 5.0), (8.0, 9.5)]
    assert burst_spans(None, 12.0) == []


def test_each_protocol_has_rates_exits_and_latency(results: Results) -> None:
    bursts = HardBursts(on_s=0.5, period_s=1.5)
    swept = changed(results, three_seconds(), duration_s=3.0, block_s=1.5, hard_bursts=bursts)
    figure = draw_timeline(swept)
    assert len(figure.axes) == 6
    titles = [axes.get_title(loc="left") for axes in figure.axes[:2]]
    assert titles == ["window over http", "window over grpc"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"offered", "answered", "all rows hard", "next turn", "stage 1", "stage 2"} <= set(labels)
    assert {"p99, window", "p50, window", "p99, first", "requests shed", "requests failed"} <= set(labels)
    assert "p50, first" not in labels
    (shed,) = [line for line in figure.axes[4].lines if line.get_label() == "requests shed"]
    assert list(np.asarray(shed.get_xdata())) == pytest.approx([0.35])
    (turn,) = [line for line in figure.axes[0].lines if line.get_label() == "next turn"]
    assert turn.get_xdata()[0] == pytest.approx(1.5)  # type: ignore[index]
    assert len(png(figure)) > 1000
