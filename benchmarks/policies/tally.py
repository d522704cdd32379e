"""Means over draws, with their intervals."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import beta


def mean_interval(values: Sequence[float]) -> list[float]:
    """`[mean, lower, upper]` at 95%, the draws being independent."""
    numbers = np.asarray(values, np.float64)
    mean = float(numbers.mean())
    half = 1.96 * float(numbers.std(ddof=1)) / math.sqrt(len(numbers)) if len(numbers) > 1 else math.nan
    return [round(number, 6) for number in (mean, mean - half, mean + half)]


def share_upper(hits: int, draws: int, level: float = 0.95) -> float:
    """Clopper-Pearson's one-sided upper bound for a share."""
    return 1.0 if hits == draws else float(beta.ppf(level, hits + 1, draws - hits))
