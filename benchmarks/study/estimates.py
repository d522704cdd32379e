"""Means over seeds with intervals that count both seeds and images.

The seeds' share is the variance of what was seen over its number; the images' share is the variance of the
mean under resampled images, which all seeds have in common (Efron 1979). The two are added, and the degrees
of freedom are Satterthwaite's (1946): three seeds that differ much give a wide interval, as they should. What
seeds and images do together counts in both, so intervals are rather too wide than too narrow.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from cascade.intervals import Estimate

Array = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True)
class Draw:
    """How often each test row counts, and which rows of each family stand for it."""

    counts: Array
    strange: Mapping[str, NDArray[np.intp]]


def draws(num_rows: int, families: Mapping[str, int], resamples: int, seed: int = 0) -> Sequence[Draw]:
    """First the rows as they are, then resamples of them; the same for all that is compared."""
    rng = np.random.default_rng(seed)
    as_it_is = Draw(np.ones(num_rows), {name: np.arange(rows) for name, rows in families.items()})
    even = np.full(num_rows, 1 / num_rows)
    return [
        as_it_is,
        *(
            Draw(
                rng.multinomial(num_rows, even).astype(np.float64),
                {name: rng.integers(0, rows, rows) for name, rows in families.items()},
            )
            for _ in range(resamples)
        ),
    ]


def seeds_part(values: Array) -> float:
    """The variance of the mean over seeds, of `values` (seeds, 1 + resamples); 0 with one seed."""
    seen = values[:, 0]
    return float(seen.var(ddof=1)) / len(seen) if len(seen) > 1 else 0.0


def estimate(values: Array, least_of_seeds: float = 0.0) -> Estimate:
    """Of `values` (seeds, 1 + resamples), the first column what was seen.

    A difference is estimated from the difference of two such arrays, which pairs seeds and images. With one
    seed the interval is of the images alone. `least_of_seeds` bounds the seeds' variance from below: cascades
    that share members in rotation differ less than cascades of fresh members would, and where the effects of
    members add up their mean varies as the mean of single members does.
    """
    seen, resampled = values[:, 0], values[:, 1:].mean(axis=0)
    mean = float(seen.mean())
    of_seeds = max(seeds_part(values), least_of_seeds)
    of_images = float(resampled.var(ddof=1)) if len(resampled) > 1 else 0.0
    variance = of_seeds + of_images
    freedom = (len(seen) - 1) * (variance / of_seeds) ** 2 if of_seeds > 0 else math.inf
    half = float(student.ppf(0.5 + LEVEL / 2, freedom)) * math.sqrt(variance)
    return Estimate(mean, mean - half, mean + half)
