"""How long a training goes on: a number of updates, of samples run forward, or of seconds."""

import math
from dataclasses import dataclass

from training.checks import one_of
from training.errors import ConfigError

UNITS = ("updates", "samples", "seconds")


@dataclass(kw_only=True)
class Spent:
    """What a training has spent so far.

    samples_forward: rows run forward, those for nothing but a choice included; samples_backward: rows
    trained. seconds: of updates and of choosing; validation and checkpoints are not counted.
    """

    updates: int = 0
    samples_forward: int = 0
    samples_backward: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """`amount` in `unit`; samples are those run forward."""

    unit: str
    amount: float

    def __post_init__(self) -> None:
        one_of("budget unit", self.unit, UNITS)
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise ConfigError(f"budget must be a number above 0, got {self.amount}")

    def __str__(self) -> str:
        return f"{self.amount:.12g}{self.unit}"

    def used(self, spent: Spent) -> float:
        used = {"updates": spent.updates, "samples": spent.samples_forward, "seconds": spent.seconds}
        return used[self.unit]

    def progress(self, spent: Spent) -> float:
        """The share of the budget that is spent, 1 or more when it is used up."""
        return self.used(spent) / self.amount


def parse_budget(text: str) -> Budget:
    """`5000updates`, `1e6samples` or `90seconds`."""
    for unit in UNITS:
        if text.endswith(unit):
            try:
                return Budget(unit=unit, amount=float(text.removesuffix(unit)))
            except ValueError:
                break
    raise ConfigError(f"budget {text!r} is none of 5000updates, 1e6samples, 90seconds")
