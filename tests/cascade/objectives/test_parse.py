"""Objectives from text: what each means, and one clear line for what means nothing."""

import math

import pytest

from cascade.errors import FitError
from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.detection import FprAtTpr
from cascade.objectives.parse import parse_objective
from cascade.objectives.selective import Accuracy, CoverageAtRisk, RiskAtCoverage


def test_every_form() -> None:
    assert parse_objective("coverage@risk=0.05") == CoverageAtRisk(text="coverage@risk=0.05", risk=0.05)
    assert parse_objective("risk@coverage=.8") == RiskAtCoverage(text="risk@coverage=.8", coverage=0.8)
    assert parse_objective("accuracy") == Accuracy(text="accuracy")
    assert parse_objective("fpr@tpr=0.95") == FprAtTpr(text="fpr@tpr=0.95", tpr=0.95)
    text = "decision@class=3,threshold=0.4"
    assert parse_objective(text) == ClassDecision(text=text, number=3, threshold=0.4)
    text = "decision@class=0,fn=5,fp=0,threshold=0.4"
    assert parse_objective(text) == ClassDecision(text=text, number=0, threshold=0.4, costs=(0.0, 5.0))
    text = "coverage@risk=0.1,ood=0.3"
    assert parse_objective(text) == CoverageAtRisk(text=text, risk=0.1, ood=0.3)
    assert parse_objective("accuracy,ood=0.3") == Accuracy(text="accuracy,ood=0.3", ood=0.3)
    text = "risk@coverage=0.9,ood=0.1"
    assert parse_objective(text) == RiskAtCoverage(text=text, coverage=0.9, ood=0.1)


def test_names_and_targets() -> None:
    named = {
        "coverage@risk=0.05,ood=0.1": ("coverage@risk", 0.05, False),
        "risk@coverage=0.8": ("risk@coverage", 0.8, True),
        "fpr@tpr=0.95": ("fpr@tpr", 0.95, True),
        "decision@class=3,threshold=0.4": ("decision", 0.4, False),
        "decision@class=3,threshold=0.4,fp=1,fn=1": ("decision", 0.4, True),
    }
    for text, expected in named.items():
        objective = parse_objective(text)
        assert (objective.name, objective.target, objective.is_lower_better) == expected
        assert str(objective) == text
    accuracy = parse_objective("accuracy")
    assert (accuracy.name, accuracy.is_lower_better) == ("accuracy", False)
    assert math.isnan(accuracy.target)


def test_what_needs_strange_rows_and_what_can_be_certified() -> None:
    needs = {text: parse_objective(text).uses_ood for text in ("accuracy", "accuracy,ood=0.1", "fpr@tpr=0.9")}
    assert needs == {"accuracy": False, "accuracy,ood=0.1": True, "fpr@tpr=0.9": True}
    assert parse_objective("coverage@risk=0.1").can_certify
    for text in ("coverage@risk=0.1,ood=0.1", "risk@coverage=0.8", "accuracy"):
        assert not parse_objective(text).can_certify


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("luck", r"unknown objective 'luck'; there are: coverage@risk=R, risk@coverage=C, accuracy"),
        ("", "unknown objective ''"),
        ("coverage", "unknown objective 'coverage'"),
        ("coverage@risk", "objective 'coverage@risk': '' is no number"),
        ("coverage@risk=few", "'few' is no number"),
        ("coverage@risk=0", "the target must lie between 0 and 1"),
        ("coverage@risk=1", "the target must lie between 0 and 1"),
        ("risk@coverage=-0.1", "the target must lie between 0 and 1"),
        ("coverage@risk=nan", "the target must lie between 0 and 1"),
        ("coverage@risk=0.1,ood=1.5", "the target must lie between 0 and 1"),
        ("coverage@risk=0.1,ood", "'' is no number"),
        ("coverage@risk=0.1,threshold=0.5", "threshold does not belong there"),
        ("fpr@tpr=0.9,ood=0.1", "ood does not belong there"),
        ("fpr@tpr=2", "the target must lie between 0 and 1"),
        ("accuracy=1", "objective accuracy takes no value"),
        ("accuracy=", "objective accuracy takes no value"),
        ("decision@class=1", "the threshold is missing"),
        ("decision@class=1,threshold=2", "the target must lie between 0 and 1"),
        ("decision@class=1.5,threshold=0.5", "1.5 is no class number"),
        ("decision@class=-1,threshold=0.5", "-1 is no class number"),
        ("decision@class=nan,threshold=0.5", "nan is no class number"),
        ("decision@class=inf,threshold=0.5", "inf is no class number"),
        ("decision@class=1,threshold=0.5,fp=1", "fp and fn go together"),
        ("decision@class=1,threshold=0.5,fn=1", "fp and fn go together"),
        ("decision@class=1,threshold=0.5,fp=0,fn=0", "costs must be 0 or more, and one of them above 0"),
        ("decision@class=1,threshold=0.5,fp=-1,fn=2", "costs must be 0 or more"),
        ("decision@class=1,threshold=0.5,fp=1,fn=nan", "costs must be 0 or more"),
        ("decision@class=1,threshold=0.5,fp=nan,fn=1", "costs must be 0 or more"),
        ("decision@class=1,threshold=0.5,fp=1,fn=inf", "costs must be 0 or more"),
        ("decision@class=1,threshold=0.5,ood=0.1", "ood does not belong there"),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(FitError, match=message) as caught:
        parse_objective(text)
    assert "\n" not in str(caught.value)
