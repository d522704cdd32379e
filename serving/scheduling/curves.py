"""How long a member's batches take here, learnt while serving."""

import math

from cascade.runtime import ServiceCurve

FORGETTING = 0.98
"""What a batch's weight is multiplied by at each later one: about the last 50 count."""

LONGEST = 4.0
"""A batch counts as at most so many times as long as expected: the machine's hiccups are not the member's."""

WORTHWHILE = 0.95
"""Of the rows a second at full batches: so efficient a batch is about as good."""


class LearntCurve:
    """Least squares of `per_row_s * n + per_batch_s` over recent batches.

    Batches under load are mostly of one size, which says nothing of the slope. So the `seed`, measured
    before, scaled to how long batches take now, counts as two batches more: one of 1 row and one full.
    """

    def __init__(self, seed: ServiceCurve, max_rows: int) -> None:
        self._seed = seed
        self._max_rows = max_rows
        self._weight = self._n = self._nn = self._t = self._nt = self._expected = 0.0
        self._take(seed)

    def _take(self, curve: ServiceCurve) -> None:
        self._per_row_s = curve.per_row_s
        self._per_batch_s = curve.per_batch_s
        self.full_row_s = curve.seconds(self._max_rows) / self._max_rows
        self.worthwhile_rows = self._rows_for(WORTHWHILE)

    def seconds(self, num_rows: int) -> float:
        return self._per_row_s * num_rows + self._per_batch_s

    def batch_s(self, num_rows: int) -> float:
        """How long the batch takes in which one of so many waiting rows travels."""
        return self.seconds(min(num_rows, self.worthwhile_rows))

    def efficiency(self, num_rows: int) -> float:
        """Rows a second in batches of this size, as a share of what full batches give."""
        return self.full_row_s * num_rows / self.seconds(num_rows)

    def rows_within(self, seconds: float) -> int:
        """The largest batch that takes no longer; at least one row."""
        return max(1, int((seconds - self._per_batch_s) / self._per_row_s))

    def _rows_for(self, efficiency: float) -> int:
        """The smallest batch that is so efficient."""
        full, start = self._max_rows, self._per_batch_s / self._per_row_s
        rows = efficiency * full * start / (full + start - efficiency * full)
        return max(1, math.ceil(rows))

    def observe(self, num_rows: int, seconds: float) -> None:
        seconds = min(seconds, LONGEST * self.seconds(num_rows))
        self._weight = self._weight * FORGETTING + 1
        self._n = self._n * FORGETTING + num_rows
        self._nn = self._nn * FORGETTING + num_rows * num_rows
        self._t = self._t * FORGETTING + seconds
        self._nt = self._nt * FORGETTING + num_rows * seconds
        self._expected = self._expected * FORGETTING + self._seed.seconds(num_rows)
        self._take(self._fitted())

    def _fitted(self) -> ServiceCurve:
        scale = self._t / self._expected
        full = self._max_rows
        one_s, full_s = scale * self._seed.seconds(1), scale * self._seed.seconds(full)
        weight, n, nn = self._weight + 2, self._n + 1 + full, self._nn + 1 + full * full
        t, nt = self._t + one_s + full_s, self._nt + one_s + full * full_s
        spread = weight * nn - n * n
        slope = (weight * nt - n * t) / spread if spread > 0 else t / n
        # Neither part can be negative; the other then goes through the mean.
        slope = min(max(slope, 1e-9), t / n)
        return ServiceCurve(slope, max((t - slope * n) / weight, 0.0))
