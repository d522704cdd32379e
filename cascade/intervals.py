"""Intervals for shares of rows, honest about rows that are copies of one source."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 200


@dataclass(frozen=True)
class Estimate:
    """A value and its 95% interval; NaN where there was nothing to estimate it from."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        return not math.isnan(self.value)


def share_interval(
    hits: NDArray[np.bool_],
    groups: NDArray[np.int64] | None = None,
    level: float = 0.95,
    weight: NDArray[np.float64] | None = None,
) -> tuple[float, float]:
    """Wilson's interval (1927) for the share of `hits` among `(rows,)`; (nan, nan) without rows.

    With `groups`, rows of one group are correlated: the number of rows is divided by the design
    effect, the ratio of the cluster-robust variance of the share to the binomial one (Korn &
    Graubard 1998). A share of exactly 0 or 1 shows no variance, so there each group counts once.
    With `weight`, as many rows count as `kish` says.
    """
    if len(hits) == 0 or (weight is not None and weight.sum() <= 0):
        return math.nan, math.nan
    n = float(len(hits)) if groups is None else effective_rows(hits, groups)
    if weight is not None:
        n *= kish(weight) / len(hits)
    return wilson(float(np.average(hits, weights=weight)), n, level)


def kish(weight: NDArray[np.float64]) -> float:
    """How many rows of equal weight would tell as much (Kish 1965)."""
    return float(weight.sum() ** 2 / np.square(weight).sum())


def bootstrap_interval(
    statistic: Callable[[NDArray[np.float64]], float],
    strata: Sequence[NDArray[np.integer]],
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentiles of a statistic under resampled rows; it gets how often each row was drawn.

    `strata` hold the group of each row, and groups are drawn as wholes, within their stratum (Efron 1979).
    """
    values = [statistic(counts) for counts in _resampled(strata, seed)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled(strata: Sequence[NDArray[np.integer]], seed: int) -> Iterator[NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    members = [np.unique(groups, return_inverse=True)[1] for groups in strata]
    for _ in range(RESAMPLES):
        drawn = [
            rng.multinomial(size := int(rows.max()) + 1, np.full(size, 1 / size))[rows] for rows in members
        ]
        yield np.concatenate(drawn).astype(np.float64)


def wilson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for `share` seen in `n` independent trials."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def effective_rows(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """How many independent rows would tell as much; between 1 and the number of rows."""
    n = len(hits)
    share = float(hits.mean())
    _, index = np.unique(groups, return_inverse=True)
    num_groups = int(index.max()) + 1
    if share in (0.0, 1.0) or num_groups < 2:
        return float(num_groups)
    residuals = np.bincount(index, weights=hits - share, minlength=num_groups)
    variance = float(np.square(residuals).sum()) / n**2 * num_groups / (num_groups - 1)
    return min(float(n), max(1.0, share * (1 - share) / variance)) if variance > 0 else float(n)
