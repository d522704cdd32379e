from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadtest.figures.statistics import latency
from loadtest.report.histograms import MOST_US, histogram_of, write_log
from tests.loadtest.report.made_samples import made_samples

RESOLUTION = 1e-3


def test_percentiles_agree_with_the_exact_ones_within_the_resolution() -> None:
    latency_ms = np.random.default_rng(0).lognormal(1.0, 1.2, 20_000)
    exact, histogram = latency(latency_ms), histogram_of(latency_ms)
    for percent, value_ms in (
        (50, exact.p50_ms),
        (90, exact.p90_ms),
        (99, exact.p99_ms),
        (100, exact.max_ms),
    ):
        told_ms = histogram.get_value_at_percentile(percent) / 1e3
        assert told_ms == pytest.approx(value_ms, rel=RESOLUTION, abs=1e-3)


def test_requests_without_an_answer_rank_above_all_others() -> None:
    histogram = histogram_of(np.array([1.0] * 98 + [np.inf] * 2))
    assert histogram.get_value_at_percentile(98) == pytest.approx(1000, rel=RESOLUTION)
    assert histogram.get_value_at_percentile(99) == pytest.approx(MOST_US, rel=RESOLUTION)


def test_a_log_has_an_interval_for_each_block_and_is_read_by_the_standard_reader(tmp_path: Path) -> None:
    samples = made_samples(
        block=[0, 0, 1],
        intended_s=[0.5, 1.0, 1.5],
        done_s=[0.51, 1.02, 1.53],
        status=[0, 0, 1],
        exit_stage=[1, 1, 0],
    )
    write_log(tmp_path / "some.hlog", samples.requests, 2, 5.0)
    assert "#[1 requests without an answer stand at 3600000000]" in (tmp_path / "some.hlog").read_text()
    reader = HistogramLogReader(str(tmp_path / "some.hlog"), HdrHistogram(1, MOST_US, 3))
    first, second, end = (reader.get_next_interval_histogram() for _ in range(3))
    reader.close()
    assert (first.get_total_count(), second.get_total_count(), end) == (2, 1, None)
    assert first.get_max_value() == pytest.approx(20_000, rel=RESOLUTION)
    assert second.get_max_value() == pytest.approx(MOST_US, rel=RESOLUTION)
    assert second.get_start_time_stamp() == pytest.approx(5000, abs=1)
