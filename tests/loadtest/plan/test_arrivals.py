import numpy as np
import pytest

from loadtest.errors import ConfigError
from loadtest.plan.arrivals import Arrivals, given_arrivals, poisson_arrivals


def test_poisson_gaps_have_the_mean_and_spread_of_the_rate() -> None:
    arrivals = poisson_arrivals(200.0, 50_000, np.random.default_rng(0), 8)
    gaps = np.diff(arrivals.times_s)
    assert gaps.mean() == pytest.approx(1 / 200, rel=0.02)
    assert gaps.std() == pytest.approx(1 / 200, rel=0.03)
    assert len(arrivals) == 50_000 and set(arrivals.rows.tolist()) == {8}


@pytest.mark.parametrize(
    ("times_s", "rows", "named"),
    [
        ([], [], "do not match"),
        ([0.0, 1.0], [1], "do not match"),
        ([1.0, 0.0], [1, 1], "in order"),
        ([0.0, float("nan")], [1, 1], "finite"),
        ([0.0, 1.0], [1, 0], "0 rows"),
    ],
)
def test_arrivals_check_themselves(times_s: list[float], rows: list[int], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Arrivals(times_s=np.array(times_s), rows=np.array(rows, np.int64))


def test_no_rate_brings_no_arrivals() -> None:
    with pytest.raises(ConfigError, match="rate 0"):
        poisson_arrivals(0.0, 10, np.random.default_rng(0))


def test_given_times_are_kept() -> None:
    arrivals = given_arrivals(np.array([0.0, 0.5]), 3)
    assert arrivals.times_s.tolist() == [0.0, 0.5] and arrivals.rows.tolist() == [3, 3]
