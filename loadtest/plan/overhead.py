"""What a request takes beyond its members: the edge, the scheduler, the way there and back.

Read off a run at a low rate, where nothing much waits, as what the measured latencies have over those that
the same rate has in simulation without an overhead.
"""

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import ConfigError
from loadtest.plan.simulated import Simulated

QUANTILES = np.arange(0.5, 1000) / 1000


def overhead_samples_s(measured_s: NDArray[np.float64], simulated: Simulated) -> tuple[float, ...]:
    """Quantile by quantile, for each request to draw from, so that the prediction keeps the hiccups of the
    machine, which are most of a high percentile where members are fast. `measured_s` are latencies of
    answered requests, in seconds."""
    if not len(measured_s) or not np.isfinite(measured_s).all():
        raise ConfigError("overhead: latencies are missing, or not all finite")
    excess = np.quantile(measured_s, QUANTILES) - np.quantile(simulated.latency_s, QUANTILES)
    return tuple(np.maximum(excess, 0.0).tolist())
