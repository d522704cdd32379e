"""From a value to the least budget."""

import pytest

from cascade.errors import FitError
from cascade.evaluate import evaluate
from cascade.fitting.budget import parse_budget
from cascade.fitting.cheapest import cheapest
from cascade.fitting.fit import FitSettings
from tests.cascade.made_up import outputs

STAGES = (("a",), ("b",))
SETTINGS = FitSettings(method="paper", objective="risk@coverage=0.8")


def budget_for(value: float) -> float:
    policy = cheapest(outputs(1200, members=2), STAGES, SETTINGS, value)
    assert policy.budget is not None
    return parse_budget(policy.budget).value


def test_more_costs_more_and_stage_1_alone_is_least() -> None:
    least, some, much = (budget_for(value) for value in (0.5, 0.1, 0.085))
    assert least == 1.0
    assert 1.0 < some < much < 3.0


def test_the_value_is_reached_on_rows_not_seen() -> None:
    policy = cheapest(outputs(4000, members=2), STAGES, SETTINGS, 0.09)
    fresh = outputs(20000, seed=9, members=2)
    assert evaluate(policy, STAGES, fresh)["objective"]["value"] == pytest.approx(0.09, abs=0.01)


def test_what_the_full_cascade_cannot_reach_is_refused() -> None:
    message = r"even the full cascade reaches 0\.\d+ \+- 0\.\d+ on held-out rows, not 0.001"
    with pytest.raises(FitError, match=message):
        cheapest(outputs(400, members=2), STAGES, SETTINGS, 0.001)


def test_a_certificate_is_not_for_a_value() -> None:
    settings = FitSettings(certify=0.1)
    with pytest.raises(FitError, match="do not go together"):
        cheapest(outputs(400, members=2), STAGES, settings, 0.5)


def test_only_windows_over_stages_have_a_budget_to_find() -> None:
    with pytest.raises(FitError, match="of a window over two stages or more"):
        cheapest(outputs(400, members=2), STAGES, FitSettings(kind="first"), 0.1)
