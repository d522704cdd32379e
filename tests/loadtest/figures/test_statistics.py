import math

import numpy as np
import pytest

from loadtest.figures.statistics import LoadFigures, load_figures
from loadtest.generator.load_samples import LoadSamples
from loadtest.generator.usage import GeneratorUsage
from loadtest.measure.server_usage import ServerUsage
from loadtest.wire.client import Status
from loadtest.wire.model_statistics import Batches, ModelStatistics
from tests.loadtest.tiny_cases import load_samples
from tests.loadtest.tiny_server import tiny_cascade


def samples(num: int = 100, rows: int = 1) -> LoadSamples:
    """Request i is meant to leave at 10 i ms, gets its turn 0.2 ms late, waits 1 ms for a slot, and is
    done (i + 1) ms after the time intended. The last two fail, one never having been sent."""
    intended = np.arange(num) * 0.01
    sent = intended + 0.0012
    sent[-1] = np.nan
    status = np.full(num, Status.OK, np.int8)
    status[-2:] = Status.REFUSED, Status.TIMEOUT
    exit_stage = np.where(np.arange(num) % 4 == 3, 2, 1).astype(np.int32)
    exit_stage[-2:] = 0
    return load_samples(
        [rows] * num,
        intended_s=intended,
        ready_s=intended + 0.0002,
        sent_s=sent,
        done_s=intended + np.arange(1, num + 1) * 1e-3,
        status=status,
        exit_stage=exit_stage,
        degraded=np.arange(num) < 3,
    )


def figures(
    samples: LoadSamples, cpu_s: float = 0.0, server: ServerUsage | None = None, block_s: float | None = None
) -> LoadFigures:
    usage = GeneratorUsage(wall_s=1.0, cpu_s=cpu_s)
    return load_figures(samples, 1.0, usage, server or ServerUsage(), tiny_cascade(), block_s)


def test_latency_counts_from_the_intended_send_and_failures_rank_above_all_answers() -> None:
    seen = figures(samples())
    assert seen.latency.num_samples == 100
    assert seen.latency.p50_ms == pytest.approx(50)
    assert seen.latency.p90_ms == pytest.approx(90)
    assert seen.latency.p99_ms == math.inf
    assert seen.latency.max_ms == math.inf


def test_a_server_that_refuses_at_once_does_not_look_fast() -> None:
    shed = samples()
    shed.requests.status[:60], shed.requests.exit_stage[:60] = Status.REFUSED, 0
    seen = figures(shed)
    assert seen.latency.p50_ms == math.inf
    assert seen.service is not None and seen.service.p50_ms == math.inf
    assert seen.by_exit_stage[2].max_ms < 100


def test_service_time_counts_from_the_real_send_of_what_was_sent() -> None:
    service = figures(samples()).service
    assert service is not None
    assert service.num_samples == 99
    assert service.p90_ms == pytest.approx(90 - 1.2)


def test_errors_are_counted_by_kind_and_not_in_the_rates() -> None:
    seen = figures(samples(rows=8))
    assert seen.statuses == {"ok": 98, "refused": 1, "timeout": 1, "broken": 0, "shed": 0}
    assert seen.num_errors == 2
    assert seen.num_degraded == 3


def test_rates_count_what_was_answered_in_the_offered_time() -> None:
    """Request i is done at 11 i + 1 ms: those up to 90 within the second."""
    seen = figures(samples(rows=8))
    assert seen.requests_per_s == 91
    assert seen.rows_per_s == 8 * 91


def test_one_straggler_does_not_drag_the_rate_down() -> None:
    straggling = samples()
    straggling.requests.done_s[50] = 60.0
    assert figures(straggling).requests_per_s == 90


def test_latency_by_exit_stage_leaves_out_requests_without_an_answer() -> None:
    by_stage = figures(samples()).by_exit_stage
    assert list(by_stage) == [1, 2]
    assert by_stage[2].num_samples == 24  # 4, 8, ..., 96 ms
    assert by_stage[2].p50_ms == pytest.approx(48)
    assert by_stage[2].max_ms == pytest.approx(96)


@pytest.mark.parametrize(
    ("lag_ms", "cpu_s", "is_valid"),
    [(0.2, 0.5, True), (0.2, 0.81, False), (1.1, 0.5, False), (1.0, 0.8, True)],
)
def test_generator_check(lag_ms: float, cpu_s: float, is_valid: bool) -> None:
    late = samples()
    late.requests.ready_s[:] = late.requests.intended_s + lag_ms / 1e3 - 1e-9
    check = figures(late, cpu_s).generator
    assert check.lag_p99_ms == pytest.approx(lag_ms, abs=1e-3)
    assert check.cpu_share == cpu_s
    assert check.is_valid is is_valid


def test_what_the_server_spent_is_told_per_answered_row() -> None:
    """98 requests of 2 rows are answered."""
    batches = {4: Batches(count=49, seconds=0.392)}
    statistics = {
        "tiny-0": ModelStatistics(rows=196, queue_s=0.098, batches=batches),
        "other": ModelStatistics(rows=9, queue_s=9.0),
    }
    server = figures(samples(rows=2), server=ServerUsage(0.196, statistics)).server
    assert server.cpu_ms == pytest.approx(1.0)
    assert server.member_ms == {"tiny-0": pytest.approx(2.0), "tiny-1": 0.0}
    assert server.queue_ms == pytest.approx(0.5)
    silent = figures(samples(rows=2)).server
    assert (silent.cpu_ms, silent.member_ms, silent.queue_ms) == (None, None, None)


def test_blocks_end_one_by_one() -> None:
    """Two blocks of half a second: what a block's last request took longer counts as late."""
    both = load_samples(
        [1, 1, 1, 1],
        block=np.array([0, 0, 1, 1], np.int32),
        intended_s=np.array([0.0, 0.4, 0.0, 0.4]),
        done_s=np.array([0.1, 0.6, 0.1, 0.45]),
    )
    assert figures(both, block_s=0.5).requests_per_s == 3
