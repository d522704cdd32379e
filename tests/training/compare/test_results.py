import json
from dataclasses import replace

import pytest

from training.compare.results import Arm, CurvePoint, Result, by_arm
from training.errors import ConfigError

NONE = Arm(selection="none", delta=1.0)
HARD = Arm(selection="hard-batch", delta=0.5)


def point(updates: int, accuracy: float) -> CurvePoint:
    return CurvePoint(
        updates=updates,
        samples_forward=updates * 8,
        samples_backward=updates * 4,
        seconds=updates / 10,
        train_loss=0.5,
        validation_accuracy=accuracy,
        validation_nll=0.25,
    )


def result(
    arm: Arm = NONE,
    seed: int = 0,
    *,
    accuracies: tuple[float, ...] = (0.5, 0.75),
    test_accuracy: float = 0.8,
    test_nll: float = 0.6,
) -> Result:
    """Evaluated every 10 updates."""
    curve = tuple(point(10 * number, accuracy) for number, accuracy in enumerate(accuracies, 1))
    return Result(
        arm=arm,
        seed=seed,
        curve=curve,
        test_accuracy=test_accuracy,
        test_nll=test_nll,
        updates=curve[-1].updates,
        samples_forward=curve[-1].samples_forward,
        samples_backward=curve[-1].samples_backward,
        seconds=2.0,
        mean_overlap=None if arm == NONE else 0.5,
        visits_min=1,
        visits_max=3,
        share_never_again=None if arm == NONE else 0.125,
    )


def broken(**changes: object) -> dict[str, object]:
    return {**result(HARD).to_json(), **changes}


def test_a_name_tells_the_share_but_for_plain_training():
    names = [Arm(selection=rule, delta=delta).name for rule, delta in [("none", 1.0), ("random", 1.0)]]
    assert [*names, HARD.name] == ["none", "random 1", "hard-batch 0.5"]
    assert replace(HARD, labels="worse_label").name == "hard-batch 0.5"


def test_a_result_comes_back_from_json_as_it_was():
    for arm in (NONE, replace(HARD, labels="worse_label")):
        there = result(arm, 3, accuracies=(0.1, 0.2, 0.3))
        assert Result.from_json(json.loads(json.dumps(there.to_json(), allow_nan=False))) == there


def test_a_whole_number_may_stand_for_a_share():
    back = Result.from_json(broken(test_accuracy=1, mean_overlap=0))
    assert (back.test_accuracy, back.mean_overlap) == (1.0, 0.0)
    assert isinstance(back.test_accuracy, float)
    assert isinstance(back.mean_overlap, float)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ([], r"^r: expected an object, got \[\]$"),
        (broken(colour="red"), "^r: missing or unknown: colour$"),
        ({"seed": 1, **{k: v for k, v in broken().items() if k not in ("arm", "seed")}}, "unknown: arm$"),
        (broken(seed=1.5), "^r: seed can't be 1.5$"),
        (broken(seed=True), "^r: seed can't be True$"),
        (broken(test_nll="0.5"), "^r: test_nll can't be '0.5'$"),
        (broken(test_nll=None), "^r: test_nll can't be None$"),
        (broken(curve={}), "^r: curve must be a list$"),
        (broken(curve=[{"updates": 1}]), r"^r: curve\[0\]: missing or unknown: samples_backward, "),
        (broken(arm={"selection": "none", "delta": 1.0}), "^r: arm: missing or unknown: labels$"),
        (broken(arm={"selection": 3, "delta": 1.0, "labels": ""}), "^r: arm: selection can't be 3$"),
    ],
)
def test_json_that_is_no_result_is_refused(value, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Result.from_json(value, "r")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"curve": ()}, "curve of none, seed 0, has no point"),
        ({"curve": (point(10, 0.5), point(10, 0.6))}, "updates of the curve's next point must be 11 or more"),
        ({"test_accuracy": 1.5}, "test_accuracy must be between 0 and 1, got 1.5"),
        ({"test_accuracy": float("nan")}, "test_accuracy must be between 0 and 1, got nan"),
        ({"test_nll": float("inf")}, "test_nll must be a finite number, got inf"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"visits_max": 0}, "visits_max must be 1 or more, got 0"),
        ({"mean_overlap": -0.5}, "mean_overlap must be between 0 and 1, got -0.5"),
        ({"share_never_again": 2.0}, "share_never_again must be between 0 and 1, got 2.0"),
    ],
)
def test_a_result_that_can_not_be_is_refused(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        replace(result(), **changes)


@pytest.mark.parametrize(
    ("selection", "delta", "complaint"),
    [
        ("", 1.0, "selection must have a name"),
        ("random", 0.0, r"delta must be in \(0, 1\], got 0.0"),
        ("none", 0.5, "delta 0.5 has no meaning with selection none"),
    ],
)
def test_an_arm_that_can_not_be_is_refused(selection, delta, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Arm(selection=selection, delta=delta)


def test_a_point_that_is_no_number_is_refused():
    with pytest.raises(ConfigError, match="train_loss must be a finite number, got nan"):
        replace(point(10, 0.5), train_loss=float("nan"))


def test_arms_of_the_same_labels_stand_together_as_they_first_appear():
    hard_worse, worse = replace(HARD, labels="worse"), replace(NONE, labels="worse")
    runs = [result(HARD, 1), result(worse, 0), result(NONE, 0), result(hard_worse, 0), result(HARD, 0)]
    found = by_arm(runs)
    assert list(found) == [HARD, NONE, worse, hard_worse]
    assert [run.seed for run in found[HARD]] == [1, 0]


def test_rows_are_flat():
    run = result(HARD, 2)
    row = run.to_row()
    assert (row["arm"], row["selection"], row["delta"], row["labels"]) == (
        "hard-batch 0.5",
        "hard-batch",
        0.5,
        "",
    )
    assert (row["seed"], row["validation_accuracy"], row["updates"]) == (2, 0.75, 20)
    assert [(row["updates"], row["validation_accuracy"]) for row in run.curve_rows()] == [
        (10, 0.5),
        (20, 0.75),
    ]
    assert all(row["arm"] == "hard-batch 0.5" and row["seed"] == 2 for row in run.curve_rows())
