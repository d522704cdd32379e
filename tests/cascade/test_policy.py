"""Who is forwarded, why rows leave, and which are accepted."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cascade.calibration import Calibrator
from cascade.errors import PolicyError
from cascade.policy import ExitReason, Policy, Window, conclude, decide


def binary(*sure: float) -> np.ndarray:
    """Probabilities of two classes whose MSP is `sure`, all for class 0."""
    return np.array([[p, 1 - p] for p in sure])


WINDOW = Policy(kind="window", num_stages=2, windows=(Window(0.6, 0.8),))
PROBABILITIES = ["probabilities", "probabilities"]


def test_window_forwards_its_ends_and_what_lies_between() -> None:
    verdict = decide(WINDOW, 0, [binary(0.59, 0.6, 0.7, 0.8, 0.81)], PROBABILITIES[:1])
    assert verdict.forward.tolist() == [False, True, True, True, False]


def test_threshold_forwards_strictly_below() -> None:
    policy = Policy(kind="threshold", num_stages=2, thresholds=(0.7,))
    verdict = decide(policy, 0, [binary(0.69, 0.7, 0.71)], PROBABILITIES[:1])
    assert verdict.forward.tolist() == [True, False, False]


def test_agreement_compares_all_members_so_far() -> None:
    policy = Policy(kind="agreement", num_stages=3)
    first, second = binary(0.9, 0.9), np.array([[0.6, 0.4], [0.4, 0.6]])
    assert decide(policy, 0, [first], PROBABILITIES[:1]).forward.tolist() == [True, True]
    assert decide(policy, 1, [first, second], PROBABILITIES).forward.tolist() == [False, True]


@pytest.mark.parametrize(("kind", "forwarded"), [("first", False), ("full", True)])
def test_first_stops_and_full_goes_on(kind: str, forwarded: bool) -> None:
    policy = Policy(kind=kind, num_stages=2)
    assert decide(policy, 0, [binary(0.5, 1.0)], PROBABILITIES[:1]).forward.tolist() == [forwarded] * 2


@pytest.mark.parametrize("kind", ["window", "threshold", "agreement", "full"])
def test_the_last_stage_forwards_nothing(kind: str) -> None:
    policy = Policy(
        kind=kind,
        num_stages=2,
        windows=(Window(0, 1),) if kind == "window" else (),
        thresholds=(2.0,) if kind == "threshold" else (),
    )
    outputs = [binary(0.7), np.array([[0.1, 0.9]])]
    assert not decide(policy, 1, outputs, PROBABILITIES).forward.any()


def test_the_prediction_is_the_mean_of_the_members_so_far() -> None:
    verdict = decide(WINDOW, 1, [binary(0.9), np.array([[0.2, 0.8]])], PROBABILITIES)
    assert_allclose(verdict.probabilities, [[0.55, 0.45]])
    assert_allclose(verdict.score, [0.55])


def test_weights_and_temperatures_are_per_stage_and_member() -> None:
    policy = Policy(kind="full", num_stages=2, weights=((1.0,), (3.0, 1.0)), temperatures=(2.0, 1.0))
    logits = [np.array([[2 * math.log(4), 0.0]]), np.array([[0.0, 0.0]])]
    verdict = decide(policy, 1, logits, ["logits", "logits"])
    assert_allclose(verdict.probabilities, [[(3 * 0.8 + 0.5) / 4, (3 * 0.2 + 0.5) / 4]])


def test_energy_is_the_mean_of_the_members_own_scores() -> None:
    policy = Policy(kind="full", num_stages=2, score="energy")
    logits = [np.array([[0.0, 0.0]]), np.array([[math.log(3), 0.0]])]
    verdict = decide(policy, 1, logits, ["logits", "logits"])
    assert_allclose(verdict.score, [(math.log(2) + math.log(4)) / 2])


def test_energy_of_probabilities_is_refused_by_name() -> None:
    policy = Policy(kind="first", num_stages=1, score="energy")
    with pytest.raises(PolicyError, match="'energy' needs logits"):
        decide(policy, 0, [binary(0.5)], PROBABILITIES[:1])


def test_reasons_name_what_let_a_row_go() -> None:
    outputs = [binary(0.5, 0.7)]
    free = conclude(WINDOW, 0, outputs, PROBABILITIES[:1])
    assert free.forward.tolist() == [False, True]
    assert free.reason[0] == ExitReason.WINDOW
    cut = conclude(WINDOW, 0, outputs, PROBABILITIES[:1], max_stages=1)
    assert cut.forward.tolist() == [False, False]
    assert cut.reason.tolist() == [ExitReason.WINDOW, ExitReason.MAX_STAGES]
    last = conclude(WINDOW, 1, [*outputs, *outputs], PROBABILITIES)
    assert last.reason.tolist() == [ExitReason.LAST] * 2


def test_a_row_cut_short_is_judged_by_its_own_threshold() -> None:
    policy = Policy(
        kind="window",
        num_stages=2,
        windows=(Window(0.6, 0.8),),
        accept_above=(0.65, 0.65),
        accept_above_cut=(0.75, math.inf),
    )
    outputs = [binary(0.5, 0.7, 0.75, 0.9)]
    cut = conclude(policy, 0, outputs, PROBABILITIES[:1], max_stages=1)
    assert cut.accepted.tolist() == [False, False, True, True]
    deep = conclude(policy, 1, [*outputs, *outputs], PROBABILITIES)
    assert deep.accepted.tolist() == [False, True, True, True]


def test_acceptance_takes_its_threshold_in() -> None:
    policy = Policy(kind="first", num_stages=1, accept_above=(0.7,))
    conclusion = conclude(policy, 0, [binary(0.6999, 0.7)], PROBABILITIES[:1])
    assert conclusion.accepted.tolist() == [False, True]


def test_confidence_comes_from_the_calibrator_of_the_depth() -> None:
    calibrator = Calibrator((0.5, 0.9), (0.2, 1.0))
    policy = Policy(kind="first", num_stages=1, calibrators=(calibrator,))
    conclusion = conclude(policy, 0, [binary(0.5, 0.7, 0.95)], PROBABILITIES[:1])
    assert_allclose(conclusion.confidence, [0.2, 0.6, 1.0])
    bare = conclude(Policy(kind="first", num_stages=1), 0, [binary(0.7)], PROBABILITIES[:1])
    assert_allclose(bare.confidence, [0.7])


def test_rows_do_not_depend_on_their_neighbours() -> None:
    rng = np.random.default_rng(0)
    logits = [rng.normal(0, 3, (257, 10)).astype(np.float32) for _ in range(3)]
    policy = Policy(kind="full", num_stages=3)
    whole = decide(policy, 2, logits, ["logits"] * 3)
    for rows in (slice(0, 1), slice(5, 12), slice(64, 257)):
        part = decide(policy, 2, [member[rows] for member in logits], ["logits"] * 3)
        assert np.array_equal(part.score, whole.score[rows])
        assert np.array_equal(part.probabilities, whole.probabilities[rows])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "guess"}, "unknown kind of policy 'guess'; there are: window"),
        ({"kind": "window"}, "windows has 0 entries where 1 belong"),
        ({"kind": "first", "thresholds": (0.5,)}, "thresholds has 1 entries where 0 belong"),
        ({"kind": "first", "accept_above": (0.5,)}, "accept_above has 1 entries where 2 belong"),
        ({"kind": "first", "score": "luck"}, "unknown score 'luck'"),
        ({"kind": "first", "accept_above": (0.5, math.nan)}, "accept_above holds a value that is no number"),
        ({"kind": "first", "weights": ((1.0,), (1.0, 0.0))}, "weights must be positive"),
    ],
)
def test_a_policy_checks_itself(fields: dict[str, object], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Policy(num_stages=2, **fields)  # type: ignore[arg-type]


def test_a_cut_row_without_a_threshold_of_its_own_is_not_accepted() -> None:
    policy = Policy(kind="full", num_stages=2, accept_above=(0.5, 0.5))
    assert not conclude(policy, 0, [binary(0.99)], PROBABILITIES[:1], max_stages=1).accepted.any()
    free = Policy(kind="full", num_stages=2)
    assert conclude(free, 0, [binary(0.99)], PROBABILITIES[:1], max_stages=1).accepted.all()
