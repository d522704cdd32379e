"""What is asked for."""

import math
from dataclasses import dataclass, field

from cascade.cascade_file import MODEL_FILES, PRECISIONS, check_name
from cascade.fitting.fit import FitSettings
from export.bounds import BOUNDS, Bounds
from export.errors import SettingsError
from export.triton.settings import TritonSettings


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """`stages` are numbers of the members as in `0;1,2`, None for one member a stage in their order; a number
    may name a precision of its own, as in `0:int8;0;1`. `precision` is that of the others.

    `max_difference` bounds the absolute difference of any output between a model and its exported file,
    `max_changed` the share of predictions that differ; None for what is usual at a member's precision.
    """

    name: str
    stages: str | None = None
    objective: str = "coverage@risk=0.05"
    budget: str = "1.3x"
    score: str = "msp"
    default_policy: str = "window"
    precision: str = "fp32"
    format: str = "onnx"
    max_difference: float | None = None
    max_changed: float | None = None
    is_tuned: bool = False
    seed: int = 0
    triton: TritonSettings = field(default_factory=TritonSettings)

    def __post_init__(self) -> None:
        check_name(self.name)
        self.fit_settings("window")
        for name, known in (("precision", PRECISIONS), ("format", tuple(MODEL_FILES))):
            if getattr(self, name) not in known:
                raise SettingsError(f"{name} {getattr(self, name)!r} is none of {', '.join(known)}")
        if self.max_difference is not None and not 0 <= self.max_difference < math.inf:
            raise SettingsError(
                f"max_difference must be 0 or a finite number above, got {self.max_difference}"
            )
        if self.max_changed is not None and not 0 <= self.max_changed <= 1:
            raise SettingsError(f"max_changed must lie within 0..1, got {self.max_changed}")
        if self.seed < 0:
            raise SettingsError(f"seed must be 0 or more, got {self.seed}")

    @property
    def backend(self) -> str:
        """What Triton loads a member with."""
        return "tensorrt" if self.format == "tensorrt" else self.triton.triton_backend

    def bounds(self, precision: str) -> Bounds:
        usual = BOUNDS[precision]
        return Bounds(
            max_difference=usual.max_difference if self.max_difference is None else self.max_difference,
            max_changed=usual.max_changed if self.max_changed is None else self.max_changed,
        )

    def fit_settings(self, kind: str) -> FitSettings:
        return FitSettings(
            kind=kind, objective=self.objective, budget=self.budget, score=self.score, seed=self.seed
        )
