"""What is asked for."""

import math
from dataclasses import dataclass

from cascade.cascade_file import check_name
from cascade.fitting.fit import FitSettings
from export.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """`stages` are numbers of the run's members as in `0;1,2`, None for one member a stage in their order.

    `max_difference` bounds the absolute difference of any logit between a model and its exported file.
    """

    name: str
    stages: str | None = None
    objective: str = "coverage@risk=0.05"
    budget: str = "1.3x"
    score: str = "msp"
    default_policy: str = "window"
    max_batch_size: int = 64
    max_difference: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        self.fit_settings("window")
        if self.max_batch_size < 1:
            raise SettingsError(f"max_batch_size must be 1 or more, got {self.max_batch_size}")
        if not 0 <= self.max_difference < math.inf:
            raise SettingsError(
                f"max_difference must be 0 or a finite number above, got {self.max_difference}"
            )
        if self.seed < 0:
            raise SettingsError(f"seed must be 0 or more, got {self.seed}")

    def fit_settings(self, kind: str) -> FitSettings:
        return FitSettings(
            kind=kind, objective=self.objective, budget=self.budget, score=self.score, seed=self.seed
        )
