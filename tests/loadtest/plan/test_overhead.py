from dataclasses import replace

import numpy as np
import pytest

from loadtest.errors import ConfigError
from loadtest.plan.arrivals import poisson_arrivals
from loadtest.plan.overhead import overhead_samples_s
from loadtest.plan.simulation import simulate
from tests.loadtest.plan.cascades import one_member

ARRIVALS = poisson_arrivals(20.0, 4_000, np.random.default_rng(0))
SIMULATED = simulate(one_member(), ARRIVALS)


def test_samples_give_the_measured_percentiles_back() -> None:
    hiccups_s = np.random.default_rng(1).exponential(2e-3, 4_000)
    measured_s = SIMULATED.latency_s + 1e-3 + hiccups_s
    overhead_s = overhead_samples_s(measured_s, SIMULATED)
    predicted = simulate(replace(one_member(), overhead_s=overhead_s), ARRIVALS, seed=3)
    for percent in (50, 90, 99):
        assert predicted.percentile_s(percent) == pytest.approx(np.percentile(measured_s, percent), rel=0.06)


def test_no_sample_is_below_0() -> None:
    assert set(overhead_samples_s(SIMULATED.latency_s / 2, SIMULATED)) == {0.0}


@pytest.mark.parametrize("measured_s", [[], [1e-3, float("inf")]])
def test_only_answered_requests_tell(measured_s: list[float]) -> None:
    with pytest.raises(ConfigError, match="overhead"):
        overhead_samples_s(np.array(measured_s), SIMULATED)
