"""What a policy may cost per row: `1.2x` (of stage 1), `0.6full` (of all stages), `3e6macs`, `2.5ms`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cascade.errors import FitError
from cascade.scores_file import ScoresFile
from cascade.stages import Stages

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_FORM = re.compile(r"(?P<value>[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)(?P<unit>x|full|macs|s|ms|us)")


@dataclass(frozen=True)
class Budget:
    """A number and what it counts: stage 1's cost (`x`), the whole cascade's (`full`), `macs`, or seconds.

    MACs are what `x` and `full` count. Seconds are the members' measured seconds per row, added up as work
    done: members of one stage that run side by side count both.
    """

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:.12g}{self.unit}"

    @property
    def is_seconds(self) -> bool:
        return self.unit in _SECONDS

    def stage_costs(self, scores: ScoresFile, stages: Stages) -> tuple[float, ...]:
        """Cost per row of each stage, in MACs or seconds. FitError where seconds were not measured."""
        if self.is_seconds and not scores.seconds:
            raise FitError(f"budget {self} needs the array seconds (per row and member), which is not there")
        return stage_costs(scores.seconds if self.is_seconds else scores.macs, scores, stages)

    def one(self, costs: Sequence[float]) -> float:
        """What one of the budget's unit is, in the unit of `costs`."""
        return ({"x": costs[0], "full": sum(costs), "macs": 1.0} | _SECONDS)[self.unit]

    def limit(self, costs: Sequence[float]) -> float:
        """The budget in the unit of `costs`, per row. FitError where stage 1 alone costs more."""
        limit = self.value * self.one(costs)
        if limit < costs[0]:
            unit = "seconds" if self.is_seconds else "MACs"
            raise FitError(
                f"budget {self} is below the cost of stage 1, which every row runs ({costs[0]:g} {unit})"
            )
        return limit


def stage_costs(member_costs: Sequence[float], scores: ScoresFile, stages: Stages) -> tuple[float, ...]:
    """What each stage costs per row: the sum over its members."""
    return tuple(sum(member_costs[scores.member(name)] for name in stage) for stage in stages)


def parse_budget(text: str) -> Budget:
    form = _FORM.fullmatch(text)
    if form is None:
        raise FitError(f"budget {text!r} is not of the form 1.2x, 0.6full, 3e6macs or 2.5ms")
    return Budget(float(form["value"]), form["unit"])
