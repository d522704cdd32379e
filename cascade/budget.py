"""What a policy may cost per row: `1.2x` (of stage 1), `0.6full` (of all stages), `3e6macs`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cascade.errors import FitError

_FORM = re.compile(r"(?P<value>[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)(?P<unit>x|full|macs)")


@dataclass(frozen=True)
class Budget:
    """A number and what it counts: stage 1's cost (`x`), the whole cascade's (`full`), or `macs`."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"

    def macs(self, stage_macs: Sequence[float]) -> float:
        """The budget in MACs per row. FitError where stage 1 alone costs more."""
        one = {"x": stage_macs[0], "full": sum(stage_macs), "macs": 1.0}[self.unit]
        macs = self.value * one
        if macs < stage_macs[0]:
            raise FitError(
                f"budget {self} is below the cost of stage 1, which every row runs ({stage_macs[0]:g} MACs)"
            )
        return macs


def parse_budget(text: str) -> Budget:
    form = _FORM.fullmatch(text)
    if form is None:
        raise FitError(f"budget {text!r} is not of the form 1.2x, 0.6full or 3e6macs")
    return Budget(float(form["value"]), form["unit"])
