"""Figures of contenders against plain counts."""

import numpy as np
import pytest

from benchmarks.study.contenders import (
    COVERAGE,
    DETECTION,
    FULL,
    OOD_SHARE,
    RISK,
    SINGLE,
    WINDOW,
    Played,
    false_positives,
    judge,
    mixed_aurc,
    play,
    reach,
)
from benchmarks.study.estimates import Draw, draws
from benchmarks.study.strange import FAMILIES, FAR, NEAR
from tests.benchmarks.study.outputs import made_outputs

ALL_FOUR = Played(
    rank=np.array([4.0, 3.0, 2.0, 1.0]),
    is_correct=np.array([True, True, False, True]),
    order=np.array([2, 0, 3, 1]),
    reach=np.array([1.0, 0.25]),
    strange={name: np.array([0.5, 3.5]) for name in FAMILIES},
    strange_reach={name: np.array([1.0, 0.75]) for name in FAMILIES},
)
AS_THEY_ARE = Draw(np.ones(4), {name: np.arange(2) for name in FAMILIES})


def test_figures_of_four_rows() -> None:
    found = judge({COVERAGE: ALL_FOUR, RISK: ALL_FOUR, DETECTION: ALL_FOUR}, AS_THEY_ARE)
    assert found["coverage@5%risk"] == 0.5
    assert found["risk@80%coverage"] == 0.25
    assert found["accuracy"] == 0.75
    assert found["aurc"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    # 0.5 lies below all four rows, 3.5 below one of them.
    assert found["auroc noise"] == pytest.approx((4 + 1) / 8)
    # 95% of four rows are all four, and what accepts every row accepts every stranger.
    assert found["fpr@95tpr cifar100"] == 1.0


def test_false_positives_are_counted_where_95_of_100_rows_are_accepted() -> None:
    rows = 100
    many = Played(
        rank=np.arange(rows, 0, -1).astype(np.float64),
        is_correct=np.ones(rows, np.bool_),
        order=np.arange(rows),
        reach=np.ones(1),
        strange={name: np.array([2.0, 5.0, 5.8, 50.0]) for name in FAMILIES},
        strange_reach={name: np.array([1.0, 0.75]) for name in FAMILIES},
    )
    draw = Draw(np.ones(rows), {name: np.array([0, 1, 2, 3]) for name in FAMILIES})
    # The ranks 6 to 100 are accepted: above 5.5.
    assert false_positives(many, NEAR, draw) == 0.5


def test_a_draw_counts_rows_by_their_place_in_the_test_split() -> None:
    # Only the row of rank 2, which is wrong and stands third in the test split, and the surest one.
    counts = np.zeros(4)
    counts[ALL_FOUR.order[2]] = counts[ALL_FOUR.order[0]] = 2
    found = judge(
        {COVERAGE: ALL_FOUR, RISK: ALL_FOUR, DETECTION: ALL_FOUR}, Draw(counts, AS_THEY_ARE.strange)
    )
    assert found["accuracy"] == 0.5
    assert found["coverage@5%risk"] == 0.5


def test_mixed_rows_weigh_their_share() -> None:
    """One sure stranger among four right rows: by hand, each row's risk times its weight."""
    right = Played(
        rank=np.array([4.0, 3.0, 2.0, 1.0]),
        is_correct=np.ones(4, np.bool_),
        order=np.arange(4),
        reach=np.ones(1),
        strange={name: np.array([5.0]) for name in FAMILIES},
        strange_reach={name: np.array([1.0, 0.75]) for name in FAMILIES},
    )
    draw = Draw(np.ones(4), {name: np.arange(1) for name in FAMILIES})
    inside = (1 - OOD_SHARE) / 4
    accepted = OOD_SHARE + inside * np.arange(5)
    expected = OOD_SHARE * 1 + sum(inside * OOD_SHARE / mass for mass in accepted[1:])
    assert mixed_aurc(right, (NEAR,), draw) == pytest.approx(expected)
    assert mixed_aurc(right, FAR, draw) == pytest.approx(expected)


def test_a_window_costs_its_budget_and_lies_between_one_member_and_both() -> None:
    outputs = made_outputs((2.0, 2.0))
    draw = draws(outputs.test.num_rows, dict.fromkeys(FAMILIES, 40), 0)[0]
    found = {}
    for contender in (SINGLE, WINDOW, FULL):
        played = {task: play(contender, task, outputs, 0) for task in (COVERAGE, RISK, DETECTION)}
        found[contender.name] = judge(played, draw), played[COVERAGE].reach
    assert found["single"][1].tolist() == [1]
    assert found["full"][1].tolist() == [1, 1]
    assert 0.1 < found["window"][1][1] < 0.3
    accuracy = {name: of["accuracy"] for name, (of, _) in found.items()}
    assert accuracy["single"] <= accuracy["window"] <= accuracy["full"]


def test_a_single_is_the_first_member() -> None:
    outputs = made_outputs((1.0, 3.0))
    played = play(SINGLE, COVERAGE, outputs, 0)
    right = outputs.test.outputs[0].argmax(axis=1) == outputs.test.labels
    assert played.is_correct.tolist() == right[played.order].tolist()
    assert (np.diff(played.rank) <= 0).all()


def test_traffic_with_strangers_runs_what_both_run() -> None:
    found = reach({COVERAGE: ALL_FOUR, RISK: ALL_FOUR, DETECTION: ALL_FOUR})
    assert found["accepting"].tolist() == [1.0, 0.25]
    assert found["near mixed"] == pytest.approx(np.array([1.0, 0.8 * 0.25 + 0.2 * 0.75]))
