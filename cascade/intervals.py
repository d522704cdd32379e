"""Intervals for shares of rows, honest about rows that are copies of one source."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


def share_interval(
    hits: NDArray[np.bool_], groups: NDArray[np.int64] | None = None, level: float = 0.95
) -> tuple[float, float]:
    """Wilson's interval (1927) for the share of `hits` among `(rows,)`; (nan, nan) without rows.

    With `groups`, rows of one group are correlated: the number of rows is divided by the design
    effect, the ratio of the cluster-robust variance of the share to the binomial one (Korn &
    Graubard 1998). A share of exactly 0 or 1 shows no variance, so there each group counts once.
    """
    if len(hits) == 0:
        return math.nan, math.nan
    share = float(hits.mean())
    return wilson(share, len(hits) if groups is None else effective_rows(hits, groups), level)


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
