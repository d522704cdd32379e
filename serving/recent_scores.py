"""The last scores that rows had at a stage, for whoever lays its window again."""

import numpy as np
from numpy.typing import NDArray

from cascade.scores import Array

MOST_ROWS = 10_000


class RecentScores:
    """A ring of at most `MOST_ROWS` scores."""

    def __init__(self) -> None:
        self._ring: Array = np.empty(0)
        self._seen = 0

    def add(self, scores: NDArray[np.floating]) -> None:
        """`(rows,)`, the newest last."""
        if not len(self._ring):
            self._ring = np.empty(MOST_ROWS)  # most policies of most cascades are never asked for
        last = scores[-MOST_ROWS:]
        begin = (self._seen + len(scores) - len(last)) % MOST_ROWS
        first = last[: MOST_ROWS - begin]
        self._ring[begin : begin + len(first)] = first
        self._ring[: len(last) - len(first)] = last[len(first) :]
        self._seen += len(scores)

    def copy(self) -> Array:
        """In no particular order."""
        return self._ring[: self._seen].copy()
