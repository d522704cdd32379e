"""A prediction beside a measurement."""

import math
from dataclasses import dataclass, fields

from loadtest.plan.simulated import Simulated


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is compared; None where it was not measured. `member_ms_per_row` are milliseconds of all members
    together, for a row that came in."""

    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    rows_per_s: float | None = None
    member_ms_per_row: float | None = None


@dataclass(frozen=True, kw_only=True)
class Checked:
    figure: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Of the measured value, above 0 where the prediction is too high; nan where that has no sense."""
        if not (math.isfinite(self.measured) and math.isfinite(self.predicted)) or self.measured == 0:
            return math.nan
        return self.predicted / self.measured - 1


def predicted_figures(simulated: Simulated) -> Figures:
    p50_s, p90_s, p99_s = (simulated.percentile_s(percent) for percent in (50, 90, 99))
    return Figures(
        p50_ms=p50_s * 1e3,
        p90_ms=p90_s * 1e3,
        p99_ms=p99_s * 1e3,
        rows_per_s=simulated.rows_per_s,
        member_ms_per_row=simulated.busy_s_per_row * 1e3,
    )


def compare(predicted: Figures, measured: Figures) -> tuple[Checked, ...]:
    """A line for each figure that both have."""
    lines = []
    for field in fields(Figures):
        ours, theirs = getattr(predicted, field.name), getattr(measured, field.name)
        if ours is not None and theirs is not None:
            lines.append(Checked(figure=field.name, predicted=ours, measured=theirs))
    return tuple(lines)
