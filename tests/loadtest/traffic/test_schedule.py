import numpy as np
import pytest

from loadtest.config import LoadConfig
from loadtest.traffic.schedule import draw_schedule


def load(**changes: object) -> LoadConfig:
    return LoadConfig(**{"rate": 100.0, "duration_s": 20.0, "seed": 5, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("arrivals", ["poisson", "constant"])
def test_same_seed_same_schedule_and_another_seed_another(arrivals: str) -> None:
    first, again, other = (draw_schedule(load(arrivals=arrivals, seed=seed), 30) for seed in (5, 5, 6))
    assert np.array_equal(first.intended_s, again.intended_s)
    assert np.array_equal(first.rows, again.rows)
    assert not np.array_equal(first.rows, other.rows)


def test_constant_arrivals_are_evenly_spaced_from_zero() -> None:
    schedule = draw_schedule(load(arrivals="constant", rate=4.0, duration_s=1.5), 30)
    assert schedule.intended_s.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_poisson_arrivals_keep_the_rate_and_have_exponential_gaps() -> None:
    schedule = draw_schedule(load(arrivals="poisson", rate=500.0), 30)
    assert len(schedule) == 10_000
    assert schedule.intended_s[0] >= 0 and schedule.intended_s[-1] < 20.0
    gaps = np.diff(schedule.intended_s)
    assert gaps.min() >= 0
    # An exponential's standard deviation is its mean; even spacing would give 0.
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)
    assert (gaps > 2 / 500.0).mean() == pytest.approx(np.exp(-2), abs=0.02)


def test_every_row_is_sent_once_before_any_is_sent_twice() -> None:
    schedule = draw_schedule(load(rate=10.0, duration_s=1.0, rows_per_request=6), 20)
    assert schedule.rows.shape == (10, 6)
    order = schedule.rows.ravel()
    for begin in (0, 20, 40):
        assert sorted(order[begin : begin + 20].tolist()) == list(range(20))


def test_another_rate_meets_the_same_rows_in_the_same_order() -> None:
    slow, fast = (draw_schedule(load(rate=rate, duration_s=1.0), 20).rows for rate in (10.0, 30.0))
    assert np.array_equal(slow, fast[:10])
