"""How long a member's batches take, by their number of rows, from what a server has counted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import ConfigError
from loadtest.plan.errors import UnseenMember
from loadtest.wire.model_statistics import Batches, ModelStatistics


@dataclass(frozen=True, kw_only=True)
class ServiceCurve:
    """A batch of n rows takes `per_batch_s + per_row_s * n` seconds on average, and one of fewer than
    `least_rows` as long as one of these, on a replica that is as disturbed by its neighbours as it was
    where the curve was measured.

    `spread` is the standard deviation of one execution over its mean. Statistics hold sums by size, not the
    variance of executions, so that it has to be given or estimated; 0 is all batches of a size alike.
    """

    per_batch_s: float
    per_row_s: float = 0.0
    least_rows: int = 1
    spread: float = 0.0

    def __post_init__(self) -> None:
        for name in ("per_batch_s", "per_row_s", "spread"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"a service curve's {name} {value:g} is not a number of 0 or more")
        if self.per_batch_s + self.per_row_s == 0:
            raise ConfigError("a service curve's per_batch_s and per_row_s are both 0")
        if self.least_rows < 1:
            raise ConfigError(f"a service curve's least_rows {self.least_rows} is below 1")

    def seconds(self, num_rows: int) -> float:
        return self.per_batch_s + self.per_row_s * max(num_rows, self.least_rows)

    def rows_per_s(self, num_rows: int) -> float:
        """Of one replica that runs batches of `num_rows` without a pause."""
        return num_rows / self.seconds(num_rows)


def fit_service_curve(batches: Mapping[int, Batches], *, spread: float = 0.0) -> ServiceCurve:
    """Least squares over all executions that were counted, neither part negative, so that the curve gives
    all of them together exactly the seconds that they took.

    Ask for statistics that have large batches too (of a run at saturation, say): single rows tell little of
    them. Where one size alone was seen nothing tells the slope: a larger batch is then taken to gain
    nothing, and a smaller one to take as long. ValueError where nothing was seen.
    """
    seen = [(size, batch) for size, batch in batches.items() if batch.count > 0 and batch.seconds > 0]
    if not seen:
        raise ValueError("no batch was seen")
    if len(seen) == 1:
        size, batch = seen[0]
        return ServiceCurve(
            per_batch_s=0.0, per_row_s=batch.seconds / batch.count / size, least_rows=size, spread=spread
        )
    rows, count, seconds = np.array([(n, b.count, b.seconds) for n, b in seen], np.float64).T
    per_batch_s, per_row_s = _line(rows, count, seconds)
    return ServiceCurve(per_batch_s=per_batch_s, per_row_s=per_row_s, spread=spread)


def _line(
    rows: NDArray[np.float64], count: NDArray[np.float64], seconds: NDArray[np.float64]
) -> tuple[float, float]:
    """Start and slope, through the mean in any case; the steepest slope leaves nothing to the start."""
    mean_rows, mean_s = count @ rows / count.sum(), seconds.sum() / count.sum()
    from_mean = rows - mean_rows
    steepest = mean_s / mean_rows
    slope = min(max(from_mean @ seconds / (count @ from_mean**2), 0.0), steepest)
    return float(max(mean_s - slope * mean_rows, 0.0)), float(slope)


def member_curves(
    statistics: Mapping[str, ModelStatistics], members: Sequence[str], *, spread: float = 0.0
) -> dict[str, ServiceCurve]:
    """Of each member its curve; UnseenMember names the first of which no batch was seen."""
    curves = {}
    for name in members:
        try:
            curves[name] = fit_service_curve(statistics[name].batches, spread=spread)
        except (KeyError, ValueError):
            raise UnseenMember(
                f"member {name!r}: the statistics have no batch of it, by its size, for a service curve"
            ) from None
    return curves
