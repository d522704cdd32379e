"""When each request is meant to leave and which rows it carries, drawn before anything is sent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.config import LoadConfig


@dataclass(frozen=True)
class Schedule:
    """`intended_s` (requests,) counts from the start of the run; `rows` is (requests, rows each)."""

    intended_s: NDArray[np.float64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.intended_s)


def draw_schedule(load: LoadConfig, num_rows: int) -> Schedule:
    """The same for the same seed, whatever is tested with it; arrivals and rows have streams of their
    own, so that another rate meets the same rows in the same order."""
    arrivals, rows = (np.random.default_rng(s) for s in np.random.SeedSequence(load.seed).spawn(2))
    intended_s = _ARRIVALS[load.arrivals](load.rate, load.duration_s, arrivals)
    return Schedule(intended_s, draw_rows(len(intended_s), load.rows_per_request, num_rows, rows))


def draw_rows(
    num_requests: int, rows_per_request: int, num_rows: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Shuffle after shuffle of all rows, so that none is sent twice before all were sent once."""
    needed = num_requests * rows_per_request
    shuffles = [generator.permutation(num_rows) for _ in range(-(-needed // num_rows))]
    return np.concatenate(shuffles)[:needed].reshape(num_requests, rows_per_request)


def _constant(rate: float, duration_s: float, generator: np.random.Generator) -> NDArray[np.float64]:
    return np.arange(round(rate * duration_s)) / rate


def _poisson(rate: float, duration_s: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Given their number, the arrivals of a Poisson process are uniform order statistics; the number is
    fixed to the rate asked for, so that the offered rate is the one that is reported."""
    return np.sort(generator.uniform(0.0, duration_s, round(rate * duration_s)))


_ARRIVALS = {"constant": _constant, "poisson": _poisson}
