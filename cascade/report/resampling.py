"""Bootstrap intervals: groups of rows are drawn as wholes, the same draws for every policy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.report.judged import Judged, Yardstick
from cascade.scores import Array

RESAMPLES = 200
LEVEL = 0.95

Rows = NDArray[np.intp]
Statistic = Callable[[Judged, Rows], float]


@dataclass(frozen=True)
class Resamples:
    """`counts` (resamples, rows): how often each row was drawn. OOD rows are drawn for themselves, so that
    their share stays what it is."""

    counts: NDArray[np.uint16]

    def of(self, judged: Judged) -> Iterator[Rows]:
        """The rows drawn, surest first: statistics that sort have little left to do."""
        order = np.argsort(-judged.rank, kind="stable")
        for counts in self.counts:
            yield np.repeat(order, counts[order])

    def values(self, judged: Judged, statistic: Statistic) -> Array:
        return np.array([statistic(judged, rows) for rows in self.of(judged)])


def resamples(yardstick: Yardstick, seed: int) -> Resamples:
    rng = np.random.default_rng(seed)
    scores = yardstick.scores
    groups = np.arange(scores.num_rows) if scores.groups is None else scores.groups
    num_ood = scores.num_ood if yardstick.objective.uses_ood else 0
    drawn = [
        np.concatenate([_counts(groups, rng), _counts(np.arange(num_ood), rng)]) for _ in range(RESAMPLES)
    ]
    return Resamples(np.array(drawn, np.uint16))


def _counts(groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each row is drawn when as many groups are drawn as there are."""
    if len(groups) == 0:
        return groups
    _, inverse = np.unique(groups, return_inverse=True)
    num_groups = int(inverse.max()) + 1
    return np.bincount(rng.integers(0, num_groups, num_groups), minlength=num_groups)[inverse]


def interval(values: Array) -> tuple[float, float]:
    """The middle 95% of the values; NaN where none is a number."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
