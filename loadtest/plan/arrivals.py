"""When requests arrive, and how many rows they have."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """`times_s` and `rows` are (requests,), in order of time."""

    times_s: NDArray[np.float64]
    rows: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.times_s.ndim != 1 or self.times_s.shape != self.rows.shape or not len(self.times_s):
            raise ConfigError(f"arrivals: times {self.times_s.shape} and rows {self.rows.shape} do not match")
        if not np.isfinite(self.times_s).all() or (np.diff(self.times_s) < 0).any():
            raise ConfigError("arrivals: times are not finite and in order")
        if (self.rows < 1).any():
            raise ConfigError(f"arrivals: a request has {int(self.rows.min())} rows")

    def __len__(self) -> int:
        return len(self.times_s)


def given_arrivals(times_s: NDArray[np.float64], rows_per_request: int = 1) -> Arrivals:
    return Arrivals(times_s=times_s, rows=np.full(len(times_s), rows_per_request, np.int64))


def poisson_arrivals(
    rate: float, num_requests: int, generator: np.random.Generator, rows_per_request: int = 1
) -> Arrivals:
    """`rate` is in requests per second."""
    if not (math.isfinite(rate) and rate > 0):
        raise ConfigError(f"rate {rate:g} is not above 0")
    return given_arrivals(np.cumsum(generator.exponential(1 / rate, num_requests)), rows_per_request)
