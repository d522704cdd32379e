import math

import numpy as np
import pytest

from loadtest.figures.comparison import (
    accuracy_of,
    accuracy_under_load,
    capacity_ratio,
    cost_difference,
    coverage,
    latency_ratio,
    quality_difference,
    risk_of,
    weighted_percentile,
)
from loadtest.generator.closed_loop import ClosedLoopRun
from loadtest.measure.census import Census
from loadtest.measure.server_usage import ServerUsage
from loadtest.traffic.samples import Samples
from loadtest.wire.client import Status
from loadtest.wire.rows import Rows
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_cases import load_samples, tiny_case

NUM = 400


def samples(groups: np.ndarray | None = None) -> Samples:
    x = NamedTensor("x", "FP32", np.zeros((NUM, 2), np.float32))
    return Samples(inputs=(x,), labels=np.zeros(NUM, np.int64), groups=groups)


def census(num_wrong: int, num_rejected: int = 0, num_deep: int = 0, policy: str = "window") -> Census:
    """The first rows are wrong, the last rejected, and the first ones went deep."""
    number = np.arange(NUM)
    blank = np.zeros(NUM, np.float32)
    rows = Rows(
        probabilities=np.zeros((NUM, 0), np.float32),
        label=(number < num_wrong).astype(np.int64),
        score=blank,
        confidence=blank,
        accepted=number < NUM - num_rejected,
        exit_stage=np.where(number < num_deep, 2, 1).astype(np.int32),
        exit_reason=np.full(NUM, "last"),
    )
    return Census(case=tiny_case(policy), rows=rows, usage=ServerUsage())


def test_pairs_make_the_interval_of_a_difference_narrow() -> None:
    """Both are wrong on the same 100 rows, one on 8 more: by chance alone 8 would drown."""
    pool = samples()
    gained = quality_difference(census(100), census(108), pool, accuracy_of(pool))
    assert gained.value == pytest.approx(8 / NUM)
    assert 0 < gained.low < gained.value < gained.high < 0.04


def test_copies_of_one_source_widen_it() -> None:
    pool = samples(np.arange(NUM) // 20)
    grouped = quality_difference(census(100), census(108), pool, accuracy_of(pool))
    assert grouped.low == 0.0


def test_coverage_risk_and_cost_differences() -> None:
    pool = samples()
    one, other = census(100, num_rejected=80, num_deep=200), census(100, num_rejected=40, num_deep=100)
    assert quality_difference(one, other, pool, coverage).value == pytest.approx(-0.1)
    risk = quality_difference(one, other, pool, risk_of(pool))
    assert risk.value == pytest.approx(100 / 320 - 100 / 360)
    # A quarter of the rows more pay 30 beside 10.
    assert cost_difference(one, other) == pytest.approx(0.25 * 3)


def test_a_stall_is_one_stall_however_many_rows_it_costs() -> None:
    """The last of ten blocks lost all its rows: by sample that looks sure, by block it may be chance."""
    pool = samples()
    block = np.repeat(np.arange(10), NUM // 10).astype(np.int32)
    calm = load_samples([1] * NUM, block=block)
    stalled = load_samples([1] * NUM, block=block, row_label=np.where(block == 9, -1, 0))
    lost = accuracy_under_load(stalled, calm, pool)
    assert lost.value == pytest.approx(-0.1)
    assert lost.high == 0.0


def test_where_answers_fail_in_some_blocks_no_interval_is_made_up() -> None:
    block = np.repeat(np.arange(4), 10).astype(np.int32)
    status = np.zeros(40, np.int8)
    status[block == 3] = Status.TIMEOUT
    answered = load_samples([1] * 40, block=block).requests
    failing = load_samples([1] * 40, block=block, status=status).requests
    ratio = latency_ratio(failing, answered, 50)
    assert ratio.value == pytest.approx(1.0)
    assert math.isnan(ratio.low)


def test_under_load_the_same_rows_are_compared() -> None:
    pool = samples()
    right = load_samples([1] * NUM)
    wrong = load_samples([1] * NUM, row_label=(np.arange(NUM) < 20).astype(np.int64))
    lost = accuracy_under_load(wrong, right, pool)
    assert lost.value == pytest.approx(-0.05)
    assert lost.low < -0.05 < lost.high < 0


def test_latency_is_compared_by_block() -> None:
    """Twice as slow in each of ten blocks, whose own speeds differ by a factor of ten."""
    block = np.repeat(np.arange(10), 20).astype(np.int32)
    fast_s = (1.0 + block) * 0.001 * np.tile(np.linspace(1, 2, 20), 10)
    fast, slow = (
        load_samples([1] * 200, block=block, done_s=np.arange(200) / 10 + factor * fast_s).requests
        for factor in (1, 2)
    )
    ratio = latency_ratio(slow, fast, 50)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


def test_few_blocks_make_no_interval() -> None:
    requests = load_samples([1] * 10).requests
    ratio = latency_ratio(requests, requests, 99)
    assert ratio.value == 1.0
    assert math.isnan(ratio.low)


def test_percentiles_are_samples_and_weights_count() -> None:
    values = np.array([3.0, 1.0, np.inf, 2.0])
    assert weighted_percentile(values, np.ones(4), 50) == 2.0
    assert weighted_percentile(values, np.ones(4), 100) == np.inf
    assert weighted_percentile(values, np.array([10.0, 1.0, 1.0, 1.0]), 50) == 3.0


def test_capacities_are_compared_turn_by_turn() -> None:
    def turns(*rows: int) -> list[ClosedLoopRun]:
        return [ClosedLoopRun(num_rows=n, num_rows_in_all=n, num_errors=0, seconds=1.0) for n in rows]

    ratio = capacity_ratio(turns(150, 80, 30), turns(100, 40, 30))
    assert (ratio.value, ratio.low, ratio.high) == (1.5, 1.0, 2.0)
