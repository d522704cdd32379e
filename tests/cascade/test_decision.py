"""Who is forwarded, why rows leave, and which are accepted."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cascade.calibrator import Calibrator
from cascade.decision import ExitReason, conclude, conclude_subset, decide, judge_subset
from cascade.errors import PolicyError
from cascade.policy import ACCEPT_ALL, Policy, Subset
from cascade.window import NOTHING, Tie, Window


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


def test_a_cut_row_without_a_threshold_of_its_own_is_not_accepted() -> None:
    policy = Policy(kind="full", num_stages=2, accept_above=(0.5, 0.5))
    assert not conclude(policy, 0, [binary(0.99)], PROBABILITIES[:1], max_stages=1).accepted.any()
    free = Policy(kind="full", num_stages=2)
    assert conclude(free, 0, [binary(0.99)], PROBABILITIES[:1], max_stages=1).accepted.all()


def plateau(rows: int, seed: int = 0) -> np.ndarray:
    """Logits of different rows, all of whose MSPs are exactly 1."""
    logits = np.random.default_rng(seed).normal(0, 1, (rows, 4)).astype(np.float32)
    logits[:, 1] += 2000
    return logits


TIED = Policy(kind="window", num_stages=2, windows=(Window(0.6, 1.0),), ties=((Tie(1.0, 0.3),),), tie_seed=5)


@pytest.mark.parametrize("kind", ["window", "threshold"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.75, 1.0])
def test_a_coin_forwards_its_share_of_a_plateau(kind: str, share: float) -> None:
    policy = Policy(
        kind=kind,
        num_stages=2,
        windows=(Window(0.6, 1.0),) if kind == "window" else (),
        thresholds=(np.nextafter(1.0, 2.0),) if kind == "threshold" else (),
        ties=((Tie(1.0, share),),),
    )
    assert decide(policy, 0, [plateau(4000)], ["logits"]).forward.mean() == pytest.approx(share, abs=0.02)


def test_a_coin_decides_for_rows_that_tie_alone() -> None:
    logits = plateau(8)
    logits[4:] = np.log([[0.7, 0.1, 0.1, 0.1]])
    always, never = (
        decide(replace(TIED, ties=((Tie(1.0, share),),)), 0, [logits], ["logits"]).forward
        for share in (1.0, 0.0)
    )
    assert always.tolist() == [True] * 8
    assert never.tolist() == [False] * 4 + [True] * 4


def test_a_tie_may_lie_outside_of_the_window() -> None:
    policy = replace(TIED, windows=(NOTHING,), ties=((Tie(1.0, 1.0),),))
    assert decide(policy, 0, [plateau(3)], ["logits"]).forward.all()


def test_a_coin_depends_on_the_row_alone() -> None:
    logits = plateau(500)
    whole = decide(TIED, 0, [logits], ["logits"]).forward
    assert 0.2 < whole.mean() < 0.4
    rng = np.random.default_rng(1)
    order = rng.permutation(500)
    assert np.array_equal(decide(TIED, 0, [logits[order]], ["logits"]).forward, whole[order])
    columns = rng.permutation(4)
    assert np.array_equal(decide(TIED, 0, [logits[:, columns]], ["logits"]).forward, whole)
    parts = np.split(logits, [1, 2, 50, 333])
    forward = np.concatenate([decide(TIED, 0, [part], ["logits"]).forward for part in parts])
    assert np.array_equal(forward, whole)


def test_the_seed_draws_other_rows() -> None:
    logits = plateau(500)
    drawn = [decide(replace(TIED, tie_seed=seed), 0, [logits], ["logits"]).forward for seed in (5, 6)]
    assert 0.3 < (drawn[0] != drawn[1]).mean() < 0.55, "2 x 0.3 x 0.7 of the rows, were they unrelated"


def test_no_coin_is_tossed_at_the_last_stage() -> None:
    assert not decide(TIED, 1, [plateau(50)] * 2, ["logits"] * 2).forward.any()


STAGES = (("a",), ("b", "c"))
WEIGHTED = Policy(
    kind="full",
    num_stages=2,
    weights=((1.0,), (0.2, 0.3, 0.5)),
    temperatures=(1.0, 2.0, 4.0),
    accept_above=(0.5, 0.5),
    subsets=(Subset(("c", "a"), 0.6, Calibrator((0.0, 1.0), (0.0, 0.5))), Subset(("b",), ACCEPT_ALL)),
)
LOGITS = {
    "a": np.log([[0.9, 0.1]]),
    "b": 2 * np.log([[0.7, 0.3]]),
    "c": 4 * np.log([[0.4, 0.6]]),
}


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        (("a", "c"), (0.2 * 0.9 + 0.5 * 0.4) / 0.7),
        (("b", "c"), (0.3 * 0.7 + 0.5 * 0.4) / 0.8),
        (("a", "b", "c"), 0.2 * 0.9 + 0.3 * 0.7 + 0.5 * 0.4),
        (("b",), 0.7),
        (("a",), 0.9),
    ],
)
def test_what_answered_is_combined_by_its_own_weights(answered: tuple[str, ...], expected: float) -> None:
    outputs = [LOGITS[name] for name in answered]
    verdict = judge_subset(WEIGHTED, STAGES, answered, outputs, ["logits"] * len(answered))
    assert_allclose(verdict.probabilities, [[expected, 1 - expected]])
    assert_allclose(verdict.score, [max(expected, 1 - expected)])
    assert verdict.label.tolist() == [int(expected < 0.5)]
    assert not verdict.forward.any()


def test_the_weights_are_those_of_the_deepest_stage_that_answered() -> None:
    policy = Policy(kind="full", num_stages=2, weights=((3.0, 1.0), (1.0, 1.0, 1.0)))
    stages = (("a", "b"), ("c",))
    outputs = [binary(0.9), binary(0.5)]
    verdict = judge_subset(policy, stages, ("a", "b"), outputs, PROBABILITIES)
    assert_allclose(verdict.score, [(3 * 0.9 + 0.5) / 4])
    assert_allclose(judge_subset(policy, stages, ("a", "c"), outputs, PROBABILITIES).score, [0.7])


def test_a_set_is_judged_by_what_was_fitted_for_it() -> None:
    outputs = [np.log([[0.9, 0.1], [0.7, 0.3]]), 4 * np.log([[0.6, 0.4], [0.5, 0.5]])]
    conclusion = conclude_subset(WEIGHTED, STAGES, ("a", "c"), outputs, ["logits"] * 2)
    score = np.array([0.2 * 0.9 + 0.5 * 0.6, 0.2 * 0.7 + 0.5 * 0.5]) / 0.7
    assert_allclose(conclusion.verdict.score, score)
    assert conclusion.accepted.tolist() == [True, False]
    assert_allclose(conclusion.confidence, score / 2)
    assert conclusion.reason.tolist() == [ExitReason.MEMBER_FAILED] * 2
    assert not conclusion.forward.any()


def test_a_set_for_which_nothing_was_fitted_is_accepted_by_those_who_accept_all() -> None:
    outputs = [binary(0.99), binary(0.99)]
    unfitted = conclude_subset(WEIGHTED, STAGES, ("b", "c"), outputs, PROBABILITIES)
    assert not unfitted.accepted.any()
    bare = conclude_subset(Policy(kind="full", num_stages=2), STAGES, ("b", "c"), outputs, PROBABILITIES)
    assert bare.accepted.all()
    assert_allclose(bare.confidence, [0.99])
    assert conclude_subset(WEIGHTED, STAGES, ("b",), outputs[:1], PROBABILITIES[:1]).accepted.all()


def test_all_members_answering_is_as_if_none_had_failed() -> None:
    rng = np.random.default_rng(0)
    logits = [rng.normal(0, 3, (40, 6)) for _ in range(3)]
    for score in ("msp", "entropy", "energy", "class=2"):
        policy = replace(WEIGHTED, score=score)
        whole = decide(policy, 1, logits, ["logits"] * 3)
        subset = judge_subset(policy, STAGES, ("a", "b", "c"), logits, ["logits"] * 3)
        assert np.array_equal(subset.score, whole.score)
        assert np.array_equal(subset.probabilities, whole.probabilities)


def test_a_decision_is_read_from_its_class() -> None:
    policy = Policy(kind="first", num_stages=1, score="class=1", accept_above=(0.3,))
    conclusion = conclude(policy, 0, [binary(0.9, 0.7, 0.6)], PROBABILITIES[:1])
    assert_allclose(conclusion.verdict.score, [0.1, 0.3, 0.4])
    assert conclusion.accepted.tolist() == [False, bool(1 - 0.7 >= 0.3), True]
