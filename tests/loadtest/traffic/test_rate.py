import numpy as np
import pytest

from loadtest.errors import ConfigError
from loadtest.traffic.rate import constant_rate, parse_rate


def test_a_constant_rate_spreads_arrivals_evenly() -> None:
    times = constant_rate(4.0).times(np.arange(6.0), 1.5)
    assert times.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_steps_take_equal_shares_of_the_time() -> None:
    rate = parse_rate("10,30")
    assert (rate.mean, rate.is_constant) == (20.0, False)
    # Of 80 arrivals in 4 s the first 20 come in the first 2 s.
    times = rate.times(np.arange(80.0), 4.0)
    assert (times < 2.0).sum() == 20
    assert np.allclose(np.diff(times[:20]), 0.1)
    assert np.allclose(np.diff(times[20:]), 1 / 30)


def test_a_ramp_grows_in_a_straight_line() -> None:
    rate = parse_rate("0..100")
    times = rate.times(np.arange(500.0), 10.0)
    # 5 t^2 arrivals within t seconds, by the integral of 10 t.
    assert np.allclose(times, np.sqrt(np.arange(500) / 5))
    falling = parse_rate("100..0").times(np.array([0.0, 375.0, 500.0]), 10.0)
    assert np.allclose(falling, [0.0, 5.0, 10.0])


def test_steps_and_ramps_may_be_mixed_and_pauses_stand_in_between() -> None:
    times = parse_rate("10,0,10..20").times(np.arange(25.0), 3.0)
    assert (times[:10] < 1.0).all() and (times[11:] > 2.0).all()
    # The one that falls on the edge comes after the pause.
    assert times[10] == 2.0


@pytest.mark.parametrize("text", ["fast", "", "-1", "10..", "nan", "inf", "1,,2"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no rate"):
        parse_rate(text)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="sends nothing"):
        parse_rate("0,0")
