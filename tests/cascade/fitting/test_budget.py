"""What a budget is worth, in MACs and in seconds."""

from dataclasses import replace

import pytest

from cascade.errors import FitError
from cascade.fitting.budget import parse_budget, stage_costs
from tests.cascade.made_up import STAGES, outputs

SCORES = replace(outputs(50), seconds=(0.001, 0.003, 0.002))
WIDE = (("a",), ("b", "c"))


@pytest.mark.parametrize(
    ("text", "limit"),
    [("1.5x", 1.5), ("1x", 1.0), ("0.5full", 3.0), ("2macs", 2.0), ("1.5e0macs", 1.5), ("1.25e+1x", 12.5)],
)
def test_macs(text: str, limit: float) -> None:
    budget = parse_budget(text)
    costs = budget.stage_costs(SCORES, STAGES)
    assert costs == (1.0, 2.0, 3.0)
    assert budget.limit(costs) == limit


@pytest.mark.parametrize(("text", "limit"), [("2ms", 0.002), ("1500us", 0.0015), ("0.004s", 0.004)])
def test_seconds_are_measured_per_row(text: str, limit: float) -> None:
    budget = parse_budget(text)
    costs = budget.stage_costs(SCORES, WIDE)
    assert costs == pytest.approx((0.001, 0.005))
    assert budget.limit(costs) == pytest.approx(limit)


def test_a_stage_costs_the_sum_of_its_members() -> None:
    assert stage_costs(SCORES.macs, SCORES, WIDE) == (1.0, 5.0)
    assert stage_costs(SCORES.macs, SCORES, (("c", "a"), ("b",))) == (4.0, 2.0)


def test_seconds_that_were_not_measured_are_refused() -> None:
    with pytest.raises(FitError, match="budget 2ms needs the array seconds"):
        parse_budget("2ms").stage_costs(outputs(50), STAGES)


@pytest.mark.parametrize(
    ("text", "unit"), [("0.9x", "1 MACs"), ("0.1full", "1 MACs"), ("900us", "0.001 seco")]
)
def test_less_than_the_first_stage_is_refused(text: str, unit: str) -> None:
    budget = parse_budget(text)
    with pytest.raises(FitError, match=f"budget {text} is below the cost of stage 1, which .*{unit}"):
        budget.limit(budget.stage_costs(SCORES, STAGES))


@pytest.mark.parametrize(
    "text", ["cheap", "", "1.2", "x", "-1x", "1.2 x", "1.2X", "nanx", "1,2x", "infx", ".5x"]
)
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(FitError, match=r"not of the form 1.2x, 0.6full, 3e6macs or 2.5ms"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["1.2x", "0.6full", "3000000macs", "2.5ms"])
def test_a_budget_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_budget(text)) == text
