import math

import pytest

from cascade.errors import CascadeError
from export.errors import ExportError
from export.settings import ExportSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "name 'a/b'"),
        ({"name": ".hidden"}, "name '.hidden'"),
        ({"objective": "joy"}, "objective 'joy'"),
        ({"objective": "coverage@risk=2"}, "between 0 and 1"),
        ({"score": "vibes"}, "score 'vibes'"),
        ({"precision": "fp8"}, "precision 'fp8' is none of fp32, fp16, int8"),
        ({"format": "pickle"}, "format 'pickle' is none of onnx, tensorrt"),
        ({"max_changed": 1.5}, "max_changed must lie within 0..1, got 1.5"),
        ({"max_difference": -1.0}, "max_difference must be 0 or a finite number above, got -1.0"),
        ({"max_difference": math.nan}, "max_difference"),
        ({"max_difference": math.inf}, "max_difference"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_settings_name_what_is_wrong(changes: dict[str, object], message: str) -> None:
    with pytest.raises((ExportError, CascadeError), match=message):
        ExportSettings(**({"name": "digits"} | changes))  # type: ignore[arg-type]


def test_every_policy_is_fitted_for_what_was_asked() -> None:
    settings = ExportSettings(name="digits", objective="accuracy", budget="2x", score="margin", seed=7)
    fit = settings.fit_settings("threshold")
    assert (fit.kind, fit.objective, fit.budget, fit.score, fit.seed) == (
        "threshold",
        "accuracy",
        "2x",
        "margin",
        7,
    )
