"""When each request is meant to leave and which rows it carries, drawn before anything is sent."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.bounds import MAX_REQUESTS
from loadtest.errors import ConfigError
from loadtest.traffic.arrivals import draw_arrivals, read_trace
from loadtest.traffic.difficulty import Ranks, is_hard
from loadtest.traffic.load import LoadConfig


@dataclass(frozen=True)
class Schedule:
    """`intended_s` (requests,) counts from the start of the run. Request i carries the rows (of the samples)
    `rows[offsets[i]:offsets[i + 1]]`."""

    intended_s: NDArray[np.float64]
    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.intended_s)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """The rows of each request."""
        return iter(np.split(self.rows, self.offsets[1:-1]) if len(self) else [])

    @property
    def num_rows(self) -> NDArray[np.int64]:
        """(requests,)."""
        return np.diff(self.offsets)

    def between(self, begin_s: float, end_s: float) -> "Schedule":
        """The requests of a spell, which begins at 0."""
        begin, end = (int(i) for i in np.searchsorted(self.intended_s, [begin_s, end_s]))
        offsets = self.offsets[begin : end + 1]
        return Schedule(
            self.intended_s[begin:end] - begin_s, self.rows[offsets[0] : offsets[-1]], offsets - offsets[0]
        )

    def taken(self, which: slice) -> "Schedule":
        chosen = np.arange(len(self))[which]
        rows = [self.rows[self.offsets[i] : self.offsets[i + 1]] for i in chosen]
        return scheduled(self.intended_s[which], rows)


def scheduled(intended_s: NDArray[np.float64], rows: list[NDArray[np.int64]]) -> Schedule:
    flat = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    return Schedule(intended_s, flat, np.cumsum([0, *map(len, rows)], dtype=np.int64))


def draw_schedule(load: LoadConfig, num_rows: int, ranks: Ranks | None = None) -> Schedule:
    """The same for the same seed, whatever is tested with it; arrivals, sizes, rows and difficulty have
    streams of their own, so that another rate meets the same rows in the same order. `ranks` (rows of the
    samples,) are needed where the load says how many are to be hard."""
    arrivals, sizes, rows, hardness = (
        np.random.default_rng(s) for s in np.random.SeedSequence(load.seed).spawn(4)
    )
    intended_s = _arrivals(load, arrivals)
    size = load.rows_per_request
    counts = sizes.integers(size.least, size.most, len(intended_s), endpoint=True)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if load.is_dialled:
        assert ranks is not None
        flat = _dialled(load, np.repeat(intended_s, counts), ranks, rows, hardness)
    else:
        flat = draw_rows(int(offsets[-1]), np.arange(num_rows), rows)
    return Schedule(intended_s, flat, offsets)


def _arrivals(load: LoadConfig, generator: np.random.Generator) -> NDArray[np.float64]:
    if load.trace is None:
        return draw_arrivals(load.arrivals, load.rate, load.duration_s, load.burstiness, generator)
    times = read_trace(load.trace, load.duration_s)
    if len(times) > MAX_REQUESTS:
        raise ConfigError(f"--trace {load.trace}: {len(times)} requests; at most {MAX_REQUESTS} are allowed")
    return times


def draw_rows(needed: int, pool: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Shuffle after shuffle of the pool, so that no row is sent twice before all were sent once."""
    shuffles = [generator.permutation(pool) for _ in range(-(-needed // len(pool)))]
    return np.concatenate(shuffles)[:needed] if shuffles else np.zeros(0, np.int64)


def _dialled(
    load: LoadConfig,
    times_s: NDArray[np.float64],
    ranks: Ranks,
    rows: np.random.Generator,
    hardness: np.random.Generator,
) -> NDArray[np.int64]:
    """Of each row first whether it is hard, then which of its kind."""
    hard = is_hard(ranks)
    share = float(hard.mean()) if load.hard_share is None else load.hard_share
    wants_hard = hardness.uniform(size=len(times_s)) < share
    if load.hard_bursts is not None:
        wants_hard |= load.hard_bursts.is_on(times_s)
    drawn = np.empty(len(times_s), np.int64)
    for kind in (True, False):
        where = wants_hard == kind
        if where.any():
            drawn[where] = draw_rows(int(where.sum()), np.flatnonzero(hard == kind), rows)
    return drawn
