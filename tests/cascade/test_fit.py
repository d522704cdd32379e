"""Fitting: budgets kept, thresholds set on rows that chose nothing, edges between scores."""

import math

import numpy as np
import pytest

from cascade.budget import parse_budget
from cascade.calibration import fit_calibrator
from cascade.errors import FitError, PolicyError
from cascade.evaluate import evaluate
from cascade.fit import FitSettings, fit, halves, strict_threshold
from cascade.metrics import brier, cost_macs, risk_coverage
from cascade.objective import parse_objective
from cascade.policy import Policy
from cascade.replay import replay
from cascade.scores_file import ScoresFile
from cascade.widening import StageRows, widest_within, window_around, window_below

STAGES = (("a",), ("b",), ("c",))


def outputs(rows: int, seed: int = 0, members: int = 3, groups: bool = False) -> ScoresFile:
    """Logits of members of equal strength on rows of very different difficulty."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, rows)
    strength = rng.exponential(4.0, (1, rows, 1))
    logits = strength * np.eye(5)[labels] + rng.normal(0, 1, (members, rows, 5))
    return ScoresFile(
        outputs=logits.astype(np.float32),
        kind="logits",
        labels=labels,
        names=("a", "b", "c")[:members],
        macs=(1.0, 2.0, 3.0)[:members],
        groups=np.arange(rows) // 4 if groups else None,
    )


@pytest.mark.parametrize("kind", ["window", "threshold"])
@pytest.mark.parametrize("budget", ["1.0x", "1.3x", "0.5full", "3macs", "6macs"])
def test_the_budget_is_kept_and_used(kind: str, budget: str) -> None:
    scores = outputs(2000)
    choosing, _ = halves(scores, 0)
    policy = fit(scores, STAGES, FitSettings(kind=kind, budget=budget))
    allowed = parse_budget(budget).macs(scores.macs)
    spent = cost_macs(replay(policy, STAGES, choosing).exit_stage, scores.macs)
    assert allowed - 0.02 <= spent <= allowed


def test_a_fitted_policy_keeps_its_budget_on_new_rows() -> None:
    policy = fit(outputs(10000), STAGES, FitSettings(budget="1.5x"))
    assert evaluate(policy, STAGES, outputs(20000, seed=9))["cost"] == pytest.approx(1.5, abs=0.04)


def test_an_ensemble_gains_coverage_and_a_window_keeps_most_of_it() -> None:
    scores, fresh = outputs(8000), outputs(20000, seed=9)
    coverage = {
        kind: evaluate(fit(scores, STAGES, FitSettings(kind=kind, budget="2x")), STAGES, fresh)["coverage"]
        for kind in ("first", "window", "full")
    }
    assert coverage["first"] + 0.05 < coverage["window"] < coverage["full"]
    assert coverage["window"] - coverage["first"] > 0.4 * (coverage["full"] - coverage["first"])


def test_risk_stays_near_the_target_on_new_rows_at_every_depth() -> None:
    policy = fit(outputs(12000), STAGES, FitSettings(objective="coverage@risk=0.05", budget="2x"))
    fresh = outputs(20000, seed=9)
    for max_stages in (None, 1, 2):
        assert evaluate(policy, STAGES, fresh, max_stages)["risk"] == pytest.approx(0.05, abs=0.015)


def test_risk_at_coverage_accepts_that_share() -> None:
    policy = fit(outputs(6000), STAGES, FitSettings(objective="risk@coverage=0.8"))
    assert evaluate(policy, STAGES, outputs(20000, seed=9))["coverage"] == pytest.approx(0.8, abs=0.02)


def test_accuracy_accepts_every_row() -> None:
    policy = fit(outputs(1000), STAGES, FitSettings(objective="accuracy"))
    assert set(policy.accept_above) == {-math.inf}
    assert evaluate(policy, STAGES, outputs(500, seed=3))["coverage"] == 1.0


def test_halves_never_divide_a_group() -> None:
    first, second = halves(outputs(400, groups=True), seed=3)
    assert first.num_rows == second.num_rows == 200
    assert first.groups is not None
    assert second.groups is not None
    assert not set(first.groups) & set(second.groups)


def test_the_same_seed_gives_the_same_policy() -> None:
    scores = outputs(1000)
    assert fit(scores, STAGES, FitSettings()) == fit(scores, STAGES, FitSettings())
    assert fit(scores, STAGES, FitSettings()) != fit(scores, STAGES, FitSettings(seed=1))


def test_confidence_is_the_chance_of_being_right_at_every_depth() -> None:
    policy = fit(outputs(12000), STAGES, FitSettings(budget="2x"))
    fresh = outputs(20000, seed=9)
    played = replay(policy, STAGES, fresh)
    correct = played.label == fresh.labels
    for stage in (1, 2, 3):
        rows = played.exit_stage == stage
        assert correct[rows].mean() == pytest.approx(played.confidence[rows].mean(), abs=0.03)
    assert brier(played.confidence, correct) < brier(played.score, correct) - 0.005


def test_window_edges_lie_midway_between_scores() -> None:
    score = np.arange(10.0)
    window = window_around(score, accept_above=4.5, width=0.4)
    assert (window.lo, window.hi) == (2.5, 6.5)
    assert window_below(score, accept_above=0.0, width=0.3).hi == 2.5
    assert window_around(score, accept_above=4.5, width=2.0).lo == -math.inf


def test_windows_are_conditional_on_the_rows_that_reach_a_stage() -> None:
    rows = [StageRows(np.arange(10.0), 4.5), StageRows(np.arange(10.0), 4.5), StageRows(np.arange(10.0), 4.5)]
    widened = widest_within(rows, (1.0, 1.0, 1.0), 1.6, window_around)
    assert [(window.lo, window.hi) for window in widened.windows] == [(2.5, 6.5), (3.5, 5.5)]
    assert widened.cost_macs == pytest.approx(1.6)


def test_a_plateau_of_equal_scores_never_breaks_the_budget() -> None:
    rows = [StageRows(np.full(100, 0.5), 0.5), StageRows(np.full(100, 0.5), 0.5)]
    assert widest_within(rows, (1.0, 1.0), 1.2, window_around).cost_macs <= 1.2


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"objective": "luck"}, FitError, "unknown objective 'luck'; there are: coverage@risk=R"),
        ({"objective": "coverage@risk=5"}, FitError, "must lie between 0 and 1"),
        ({"objective": "coverage@risk"}, FitError, "'' is no number"),
        ({"objective": "accuracy=1"}, FitError, "takes no value"),
        ({"budget": "cheap"}, FitError, "not of the form 1.2x, 0.6full or 3e6macs"),
        ({"budget": "0.9x"}, FitError, "below the cost of stage 1"),
        ({"kind": "guess"}, PolicyError, "unknown kind of policy 'guess'"),
        ({"score": "luck"}, PolicyError, "unknown score 'luck'"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    settings: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit(outputs(200), STAGES, FitSettings(**settings))  # type: ignore[arg-type]


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(FitError, match="39 rows are too few"):
        fit(outputs(39), STAGES, FitSettings())


def test_a_target_no_row_can_meet_accepts_nothing() -> None:
    scores = outputs(200)
    wrong = ScoresFile(
        outputs=scores.outputs,
        kind="logits",
        labels=(scores.labels + 2) % 5,
        names=scores.names,
        macs=scores.macs,
    )
    policy = fit(wrong, STAGES, FitSettings(objective="coverage@risk=0.0001"))
    assert evaluate(policy, STAGES, scores)["coverage"] == 0.0


def test_objective_values_are_read_off_the_curve() -> None:
    score, correct = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True])
    assert parse_objective("coverage@risk=0.26").value(score, correct) == 1.0
    assert parse_objective("coverage@risk=0.2").value(score, correct) == 0.5
    assert parse_objective("risk@coverage=0.75").value(score, correct) == pytest.approx(1 / 3)
    assert parse_objective("accuracy").value(score, correct) == 0.75


def test_evaluate_reports_shares_of_all_rows() -> None:
    scores = outputs(1000)
    figures = evaluate(Policy(kind="full", num_stages=3), STAGES, scores)
    assert figures["forwarded"] == [1.0, 1.0]
    assert figures["exits"] == [0.0, 0.0, 1.0]
    assert figures["cost"] == 6.0
    assert figures["coverage"] == 1.0
    assert figures["risk"] == pytest.approx(1 - figures["accuracy"])


def test_thresholds_hold_between_adjacent_doubles() -> None:
    """MSPs saturate just below 1, where two scores may have no number between them."""
    score = np.array([1.0, 1.0 - 2.0**-53, 1.0 - 2.0**-52, 0.5])
    curve = risk_coverage(score, np.ones(4, bool))
    for accepted, threshold in enumerate(curve.thresholds, start=1):
        assert (score >= threshold).sum() == accepted
    for width, inside in ((0.5, 2), (0.25, 1), (0.75, 3)):
        assert window_below(score, 0.0, width).contains(score).sum() == inside


def test_a_threshold_forwards_what_its_fit_counted() -> None:
    """Two thirds of the rows tie at stage 2; a strict threshold must take the plateau in or leave it."""
    scores = outputs(3000)
    tied = scores.outputs.copy()
    tied[1, ::3] = 0.0
    tied[0, ::3] = 0.0
    plateau = ScoresFile(
        outputs=tied, kind="logits", labels=scores.labels, names=scores.names, macs=(1.0, 1.0, 1.0)
    )
    choosing, _ = halves(plateau, 0)
    for kind in ("window", "threshold"):
        policy = fit(plateau, STAGES, FitSettings(kind=kind, budget="1.8x"))
        spent = cost_macs(replay(policy, STAGES, choosing).exit_stage, plateau.macs)
        assert 1.3 < spent <= 1.8


def test_calibrators_bear_equal_scores() -> None:
    rng = np.random.default_rng(0)
    for value in rng.random(100):
        calibrator = fit_calibrator(np.full(500, value), rng.random(500) < 0.7)
        assert calibrator is not None
        assert calibrator(np.array([value]))[0] == pytest.approx(0.7, abs=0.08)


def test_acceptance_is_set_on_rows_that_chose_nothing() -> None:
    """With the labels of the accepting half spoilt, the windows stay and nothing is accepted any more."""
    scores = outputs(2000)
    first = fit(scores, STAGES, FitSettings(budget="2x"))
    _, accepting = halves(scores, 0)
    rows = np.flatnonzero((scores.outputs[0][:, None] == accepting.outputs[0][None]).all(axis=2).any(axis=1))
    labels = scores.labels.copy()
    labels[rows] = (labels[rows] + 1) % 5
    spoilt = ScoresFile(
        outputs=scores.outputs, kind="logits", labels=labels, names=scores.names, macs=scores.macs
    )
    second = fit(spoilt, STAGES, FitSettings(budget="2x"))
    assert second.windows == first.windows
    assert second.calibrators == first.calibrators
    assert second.accept_above[0] > first.accept_above[0]


def test_a_group_too_large_to_halve_is_refused() -> None:
    scores = outputs(200)
    lumped = ScoresFile(
        outputs=scores.outputs,
        kind="logits",
        labels=scores.labels,
        names=scores.names,
        macs=scores.macs,
        groups=np.r_[np.zeros(195, int), np.arange(1, 6)],
    )
    with pytest.raises(FitError, match="cannot be divided into two halves"):
        fit(lumped, STAGES, FitSettings())


def test_a_strict_threshold_takes_in_what_its_window_does() -> None:
    score = np.array([1.0, 2.0, 2.0, 3.0])
    window = window_below(score, 0.0, 0.5)
    assert window.contains(score).tolist() == [True, True, True, False]
    assert (score < strict_threshold(window)).tolist() == [True, True, True, False]
    assert not (score < strict_threshold(window_below(score, 0.0, 0.0))).any()
    assert (score < strict_threshold(window_below(score, 0.0, 1.0))).all()
