"""What each objective counts, against values worked out by hand."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cascade.objectives.objective import OUT_OF_DISTRIBUTION
from cascade.objectives.parse import parse_objective

RANK = np.array([0.9, 0.8, 0.7, 0.6])
RIGHT = np.array([1.0, 1.0, 0.0, 1.0])
TRUTH = np.array([0, 1, 2, OUT_OF_DISTRIBUTION])
LABEL = np.array([[0, 1, 1, 0], [0, 2, 2, 1]])
NO_ROWS = np.empty(0)


def test_values_are_read_off_the_curve() -> None:
    assert parse_objective("coverage@risk=0.26").value(RANK, RIGHT) == 1.0
    assert parse_objective("coverage@risk=0.2").value(RANK, RIGHT) == 0.5
    assert parse_objective("risk@coverage=0.75").value(RANK, RIGHT) == pytest.approx(1 / 3)
    assert parse_objective("risk@coverage=0.5").value(RANK, RIGHT) == 0.0
    assert parse_objective("accuracy").value(RANK, RIGHT) == 0.75
    assert parse_objective("coverage@risk=0.2").value(RANK, 1 - RIGHT) == 0.0


def test_weights_count_as_rows_do() -> None:
    """A weight of two is the row twice, and one of none no row at all."""
    weight = np.array([2.0, 1.0, 0.0, 3.0])
    copied = np.repeat(np.arange(4), weight.astype(int))
    for text in ("coverage@risk=0.2", "risk@coverage=0.75", "accuracy", "coverage@risk=0.5"):
        objective = parse_objective(text)
        expected = objective.value(RANK[copied], RIGHT[copied])
        assert objective.value(RANK, RIGHT, weight) == pytest.approx(expected)
        assert objective.gain(RANK, RIGHT, weight) == pytest.approx(
            objective.gain(RANK[copied], RIGHT[copied])
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("coverage@risk=0.2", 0.75),
        ("coverage@risk=0.26", -math.inf),
        ("risk@coverage=0.5", 0.75),
        ("risk@coverage=0.51", 0.65),
        ("accuracy", -math.inf),
        ("decision@class=0,threshold=0.3", 0.3),
    ],
)
def test_the_final_threshold_lies_midway(text: str, expected: float) -> None:
    assert parse_objective(text).accept_above(RANK, RIGHT) == pytest.approx(expected)


def test_where_there_is_nothing_nothing_is_accepted() -> None:
    for text in ("coverage@risk=0.2", "risk@coverage=0.5", "fpr@tpr=0.9"):
        assert parse_objective(text).accept_above(NO_ROWS, NO_ROWS) == math.inf
    assert parse_objective("accuracy").accept_above(NO_ROWS, NO_ROWS) == -math.inf  # it accepts every row
    assert parse_objective("coverage@risk=0.2").accept_above(RANK, np.zeros(4)) == math.inf


def test_gains_average_the_neighbouring_targets() -> None:
    """Errors at 0.7 and 0.4 of ten rows: the coverage at each target, counted by hand."""
    rank = np.arange(10, 0, -1) / 10
    right = np.ones(10)
    right[[3, 6]] = 0
    risks = [0, 0, 0, 1 / 4, 1 / 5, 1 / 6, 2 / 7, 2 / 8, 2 / 9, 2 / 10]
    targets = [0.2 * factor for factor in (0.8, 0.9, 1, 1.1, 1.25)]
    coverages = [max(k + 1 for k in range(10) if risks[k] <= target + 1e-12) / 10 for target in targets]
    assert coverages == [0.3, 0.6, 1.0, 1.0, 1.0]
    assert parse_objective("coverage@risk=0.2").gain(rank, right) == pytest.approx(np.mean(coverages))
    assert parse_objective("accuracy").gain(rank, right) == 0.8
    nearby = [1 / 5, 1 / 5, 1 / 5, 1 / 6, 1 / 6]
    assert parse_objective("risk@coverage=0.5").gain(rank, right) == pytest.approx(-np.mean(nearby))


def test_outcomes_of_selective_objectives() -> None:
    objective = parse_objective("coverage@risk=0.1,ood=0.25")
    score = np.zeros((2, 4))
    assert objective.outcomes(score, LABEL, TRUTH).tolist() == [[1, 1, 0, 0], [1, 0, 1, 0]]
    assert objective.events(LABEL, TRUTH).tolist() == [[True, True, False, False], [True, False, True, False]]


@pytest.mark.parametrize("ood", [0.1, 0.25, 0.6])
def test_strange_rows_make_up_their_share_of_the_weight(ood: float) -> None:
    objective = parse_objective(f"accuracy,ood={ood}")
    truth = np.r_[np.zeros(30, int), np.full(70, OUT_OF_DISTRIBUTION)]
    weights = objective.weights(truth)
    assert weights.sum() == pytest.approx(100)
    assert weights[30:].sum() / weights.sum() == pytest.approx(ood)
    assert np.ptp(weights[:30]) == np.ptp(weights[30:]) == 0
    assert_allclose(objective.traffic(truth), weights)
    assert parse_objective("accuracy").weights(truth).tolist() == [1.0] * 100


def test_false_positives_at_a_true_positive_rate() -> None:
    objective = parse_objective("fpr@tpr=0.75")
    rank = np.array([0.9, 0.8, 0.7, 0.2, 0.85, 0.75, 0.6, 0.1])
    inside = np.array([1.0, 1, 1, 1, 0, 0, 0, 0])
    assert objective.accept_above(rank, inside) == pytest.approx(0.45)
    assert objective.value(rank, inside) == 0.75
    assert objective.value(rank, inside, np.array([1.0, 1, 1, 1, 3, 1, 0, 4])) == 0.5
    assert math.isnan(objective.value(rank[:4], inside[:4]))
    assert math.isnan(objective.value(rank[4:], inside[4:]))
    assert objective.outcomes(np.zeros((2, 4)), LABEL, TRUTH).tolist() == [[1, 1, 1, 0]] * 2
    assert objective.events(LABEL, TRUTH).tolist() == [[True, True, True, False]] * 2
    assert objective.traffic(TRUTH).tolist() == [1, 1, 1, 0]
    assert objective.gain(rank, inside) == -(0.75 * 3 + 1.0) / 4, "of rates 0.73 to 0.76"


def test_a_decision_agrees_or_not_with_the_last_depth() -> None:
    objective = parse_objective("decision@class=1,threshold=0.5")
    chance = np.array([[0.2, 0.5, 0.7, 0.9], [0.6, 0.4, 0.5, 0.8]])
    outcomes = objective.outcomes(chance, LABEL, np.array([0, 1, 1, 0]))
    assert outcomes.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    assert objective.value(chance[0], outcomes[0]) == 0.5
    assert objective.gain(chance[0], outcomes[0]) == 0.5
    assert objective.events(LABEL, np.array([0, 1, 1, 0])).tolist() == [[False, True, True, False]] * 2
    assert objective.score("msp") == "class=1"
    assert objective.keeps_probabilities


def test_a_decision_with_costs() -> None:
    """False positives cost 1, false negatives 4; an outcome is what is spared of the dearer one."""
    objective = parse_objective("decision@class=1,threshold=0.5,fp=1,fn=4")
    chance = np.array([[0.9, 0.9, 0.1, 0.1]])
    outcomes = objective.outcomes(chance, LABEL[:1], np.array([1, 0, 1, 0]))
    assert outcomes.tolist() == [[1.0, 0.75, 0.0, 1.0]]
    assert objective.value(chance[0], outcomes[0]) == (1 + 4) / 4
    assert objective.gain(chance[0], outcomes[0]) == pytest.approx(0.6875)
