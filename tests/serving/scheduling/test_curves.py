"""Service curves learnt from batches."""

import numpy as np
import pytest

from cascade.runtime import ServiceCurve
from serving.scheduling.curves import LearntCurve

SEED = ServiceCurve(2e-3, 10e-3)


def test_it_begins_with_its_seed() -> None:
    curve = LearntCurve(SEED, 32)
    assert curve.seconds(5) == pytest.approx(20e-3)
    assert curve.full_row_s == pytest.approx((64e-3 + 10e-3) / 32)
    assert curve.efficiency(32) == pytest.approx(1.0)
    assert curve.efficiency(1) == pytest.approx(74 / 32 / 12)


def test_it_learns_both_parts_from_batches_of_many_sizes() -> None:
    curve = LearntCurve(SEED, 32)
    rng = np.random.default_rng(0)
    for rows in rng.integers(1, 33, 300):
        curve.observe(int(rows), 5e-3 * rows + 1e-3)
    assert curve.seconds(1) == pytest.approx(6e-3, rel=0.35)
    assert curve.seconds(32) == pytest.approx(161e-3, rel=0.02)


def test_batches_of_one_size_scale_the_seed() -> None:
    """They say how fast the machine is now, and nothing of the slope."""
    curve = LearntCurve(SEED, 32)
    for _ in range(200):
        curve.observe(32, 2 * SEED.seconds(32))
    assert curve.seconds(32) == pytest.approx(2 * SEED.seconds(32), rel=1e-6)
    assert curve.seconds(1) == pytest.approx(2 * SEED.seconds(1), rel=0.05)


def test_a_hiccup_counts_little() -> None:
    curve = LearntCurve(SEED, 32)
    for _ in range(100):
        curve.observe(16, SEED.seconds(16))
    curve.observe(16, 60.0)
    assert curve.seconds(16) < 1.1 * SEED.seconds(16)


def test_it_follows_a_member_that_became_slower() -> None:
    curve = LearntCurve(SEED, 32)
    for _ in range(300):
        curve.observe(16, 100 * SEED.seconds(16))
    assert curve.seconds(16) == pytest.approx(100 * SEED.seconds(16), rel=0.05)


@pytest.mark.parametrize(
    ("seed", "rows"),
    [(ServiceCurve(1e-3, 1e-9), 1), (ServiceCurve(1e-3, 1e-3), 12), (ServiceCurve(1e-9, 1.0), 31)],
)
def test_the_smallest_batch_worth_running(seed: ServiceCurve, rows: int) -> None:
    curve = LearntCurve(seed, 32)
    assert curve.worthwhile_rows == rows
    assert curve.efficiency(rows) >= 0.95 > (curve.efficiency(rows - 1) if rows > 1 else 0)


def test_rows_within_a_time() -> None:
    curve = LearntCurve(SEED, 32)
    assert [curve.rows_within(seconds) for seconds in (-1.0, 0.0, 12e-3, 30.1e-3)] == [1, 1, 1, 10]
