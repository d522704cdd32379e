import math

import numpy as np
import pytest

from loadtest.config import LoadConfig
from loadtest.figures.statistics import load_figures
from loadtest.generator.load_samples import LoadSamples
from loadtest.generator.usage import Usage
from loadtest.wire.client import Status


def samples(num: int = 100) -> LoadSamples:
    """Request i is meant to leave at 10 i ms, gets its turn 0.2 ms late, waits 1 ms for a slot, and is
    done (i + 1) ms after the time intended. The last two fail, one never having been sent."""
    intended = np.arange(num) * 0.01
    sent = intended + 0.0012
    sent[-1] = np.nan
    status = np.full(num, Status.OK, np.int8)
    status[-2:] = Status.REFUSED, Status.TIMEOUT
    exit_stage = np.where(np.arange(num) % 4 == 3, 2, 1).astype(np.int32)
    exit_stage[-2:] = 0
    return LoadSamples(
        intended_s=intended,
        ready_s=intended + 0.0002,
        sent_s=sent,
        done_s=intended + np.arange(1, num + 1) * 1e-3,
        status=status,
        exit_stage=exit_stage,
        degraded=np.arange(num) < 3,
    )


def load(rows_per_request: int = 1) -> LoadConfig:
    return LoadConfig(rate=100.0, duration_s=1.0, rows_per_request=rows_per_request)


def test_latency_counts_from_the_intended_send_and_failures_rank_above_all_answers() -> None:
    figures = load_figures(samples(), load(), Usage(wall_s=1.0))
    assert figures.latency.num_samples == 100
    assert figures.latency.p50_ms == pytest.approx(50)
    assert figures.latency.p90_ms == pytest.approx(90)
    assert figures.latency.p99_ms == math.inf
    assert figures.latency.max_ms == math.inf


def test_a_server_that_refuses_at_once_does_not_look_fast() -> None:
    shed = samples()
    shed.status[:60], shed.exit_stage[:60] = Status.REFUSED, 0
    figures = load_figures(shed, load(), Usage(wall_s=1.0))
    assert figures.latency.p50_ms == math.inf
    assert figures.service is not None and figures.service.p50_ms == math.inf
    assert figures.by_exit_stage[2].max_ms < 100


def test_service_time_counts_from_the_real_send_of_what_was_sent() -> None:
    service = load_figures(samples(), load(), Usage(wall_s=1.0)).service
    assert service is not None
    assert service.num_samples == 99
    assert service.p90_ms == pytest.approx(90 - 1.2)


def test_errors_are_counted_by_kind_and_not_in_the_rates() -> None:
    figures = load_figures(samples(), load(8), Usage(wall_s=1.0))
    assert figures.statuses == {"ok": 98, "refused": 1, "timeout": 1, "broken": 0}
    assert figures.num_errors == 2
    assert figures.num_degraded == 3


def test_rates_count_what_was_answered_in_the_offered_time() -> None:
    """Request i is done at 11 i + 1 ms: those up to 90 within the second."""
    figures = load_figures(samples(), load(8), Usage(wall_s=1.0))
    assert figures.requests_per_s == 91
    assert figures.rows_per_s == 8 * 91


def test_one_straggler_does_not_drag_the_rate_down() -> None:
    straggling = samples()
    straggling.done_s[50] = 60.0
    assert load_figures(straggling, load(), Usage(wall_s=1.0)).requests_per_s == 90


def test_latency_by_exit_stage_leaves_out_requests_without_an_answer() -> None:
    by_stage = load_figures(samples(), load(), Usage(wall_s=1.0)).by_exit_stage
    assert list(by_stage) == [1, 2]
    assert by_stage[2].num_samples == 24  # 4, 8, ..., 96 ms
    assert by_stage[2].p50_ms == pytest.approx(48)
    assert by_stage[2].max_ms == pytest.approx(96)


@pytest.mark.parametrize(
    ("lag_ms", "cpu_s", "is_limited"),
    [(0.2, 0.5, False), (0.2, 0.81, True), (1.1, 0.5, True), (1.0, 0.8, False)],
)
def test_generator_check(lag_ms: float, cpu_s: float, is_limited: bool) -> None:
    late = samples()
    late.ready_s[:] = late.intended_s + lag_ms / 1e3 - 1e-9
    check = load_figures(late, load(), Usage(wall_s=1.0, generator_cpu_s=cpu_s)).generator
    assert check.lag_p99_ms == pytest.approx(lag_ms, abs=1e-3)
    assert check.cpu_share == cpu_s
    assert check.is_limited is is_limited


def test_server_cpu_is_told_per_answered_row() -> None:
    figures = load_figures(samples(), load(2), Usage(wall_s=1.0, server_cpu_s=0.196))
    assert figures.server_cpu_ms_per_row == pytest.approx(1.0)
    assert load_figures(samples(), load(2), Usage(wall_s=1.0)).server_cpu_ms_per_row is None
