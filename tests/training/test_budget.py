import math

import pytest

from training.budget import Budget, Spent, parse_budget
from training.errors import ConfigError

SPENT = Spent(updates=30, samples_forward=4000, samples_backward=960, seconds=4.5)


@pytest.mark.parametrize(
    ("text", "unit", "amount"),
    [
        ("5000updates", "updates", 5000),
        ("1e6samples", "samples", 1_000_000),
        ("90seconds", "seconds", 90),
        ("0.5seconds", "seconds", 0.5),
        ("250 updates", "updates", 250),
    ],
)
def test_budgets_are_read(text, unit, amount):
    assert parse_budget(text) == Budget(unit=unit, amount=amount)


@pytest.mark.parametrize(
    "text", ["", "5000", "updates", "5000 epochs", "fiveupdates", "90secondsupdates", "9s"]
)
def test_what_is_no_budget_is_refused_with_examples(text):
    with pytest.raises(ConfigError) as caught:
        parse_budget(text)
    assert str(caught.value) == f"budget {text!r} is none of 5000updates, 1e6samples, 90seconds"


@pytest.mark.parametrize("amount", [0, -1, math.nan, math.inf])
def test_an_amount_is_a_number_above_0(amount):
    with pytest.raises(ConfigError) as caught:
        parse_budget(f"{amount}seconds")
    assert str(caught.value) == f"budget must be a number above 0, got {float(amount)}"


def test_an_unknown_unit_is_refused():
    with pytest.raises(ConfigError, match="no budget unit 'epochs': there is updates, samples, seconds"):
        Budget(unit="epochs", amount=3)


@pytest.mark.parametrize(
    ("text", "used", "progress"),
    [("120updates", 30, 0.25), ("5000samples", 4000, 0.8), ("3seconds", 4.5, 1.5)],
)
def test_what_is_used_is_counted_in_its_unit(text, used, progress):
    """Samples are those run forward."""
    budget = parse_budget(text)
    assert budget.used(SPENT) == used
    assert budget.progress(SPENT) == progress


def test_nothing_is_used_at_first():
    assert parse_budget("7seconds").progress(Spent()) == 0


@pytest.mark.parametrize("text", ["5000updates", "1234567samples", "0.25seconds"])
def test_a_budget_reads_as_it_is_written(text):
    assert str(parse_budget(text)) == text
