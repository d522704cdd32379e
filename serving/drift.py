"""Whether the first stage's scores are as they were on the rows that a policy was fitted on. Pure.

The population stability index over bins that the quantiles of those rows divide: the sum over bins of
(seen - expected) * ln(seen / expected). By custom, below 0.1 nothing has changed, above 0.25 much has.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cascade.scores import Array

MEMORY_ROWS = 10_000.0
"""What is seen is of about the last rows; beyond twice as many all counts are halved."""

FEW_ROWS = 200
"""Below, chance alone moves the index."""


class ScoreDrift:
    """`counts` are of all rows since the start, in bins that end at `edges`, inclusive, and one beyond."""

    def __init__(self, quantiles: Sequence[float]) -> None:
        """At equal steps from the lowest to the highest; those that are equal are one edge."""
        inner, widths = np.unique(np.asarray(quantiles[1:-1], np.float64), return_counts=True)
        steps = len(quantiles) - 1
        self.edges: Array = inner
        # The last bin holds what lies above the highest inner quantile: one step.
        self.expected: Array = np.append(widths, steps - widths.sum()) / steps
        self.counts: NDArray[np.int64] = np.zeros(len(inner) + 1, np.int64)
        self._recent: Array = np.zeros(len(inner) + 1)

    def binned(self, scores: Array) -> NDArray[np.int64]:
        """How many of these fall into each bin."""
        return np.bincount(np.searchsorted(self.edges, scores, side="left"), minlength=len(self.counts))

    def add(self, binned: NDArray[np.int64]) -> None:
        self.counts += binned
        self._recent += binned
        if self._recent.sum() > 2 * MEMORY_ROWS:
            self._recent /= 2

    @property
    def index(self) -> float | None:
        """None while too few rows were seen. Half a row is added to each bin, so that none is empty."""
        num_rows = self._recent.sum()
        if num_rows < FEW_ROWS:
            return None
        seen = (self._recent + 0.5) / (num_rows + 0.5 * len(self._recent))
        return float(((seen - self.expected) * np.log(seen / self.expected)).sum())
