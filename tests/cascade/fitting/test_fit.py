"""Fitting as a whole: budgets kept, objectives served, thresholds set on rows that chose nothing."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from cascade.errors import FitError, PolicyError
from cascade.evaluate import evaluate
from cascade.fitting.budget import parse_budget
from cascade.fitting.fit import Bench, FitSettings, divided, fit
from cascade.metrics import brier, cost_macs
from cascade.objectives.parse import parse_objective
from cascade.policy import Policy
from cascade.replay import Replay, replay
from cascade.scores import softmax
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from tests.cascade.made_up import STAGES, outputs, saturated

PAIR = STAGES[:2]
WIDE = (("a",), ("b", "c"))
FRESH = outputs(20_000, seed=9)
FRESH_OOD = outputs(20_000, seed=9, members=2, num_ood=10_000)


def choosing_rows(scores: ScoresFile, settings: FitSettings) -> ScoresFile:
    return scores.rows(divided(scores, parse_objective(settings.objective), settings)[0])


@cache
def large_fit() -> Policy:
    return fit(outputs(6_000), STAGES, FitSettings(budget="2x"))


@pytest.mark.parametrize(
    ("kind", "method", "budget"),
    [("window", "auto", "1.3x")]
    + [("window", "paper", budget) for budget in ("1.0x", "1.3x", "3macs")]
    + [("threshold", "auto", budget) for budget in ("1.0x", "1.3x", "0.5full", "3macs", "6macs")],
)
def test_the_budget_is_kept_and_used(kind: str, method: str, budget: str) -> None:
    scores, settings = outputs(1000), FitSettings(kind=kind, method=method, budget=budget)
    policy = fit(scores, STAGES, settings)
    allowed = parse_budget(budget).limit(scores.macs)
    spent = cost_macs(replay(policy, STAGES, choosing_rows(scores, settings)).exit_stage, scores.macs)
    assert allowed - 0.02 <= spent <= allowed + 0.006, "an edge may lie half a row too far"
    assert policy.budget == str(parse_budget(budget))


def test_a_fitted_policy_keeps_its_budget_on_new_rows() -> None:
    assert evaluate(large_fit(), STAGES, FRESH)["cost"] == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("kind", ["window", "threshold"])
@pytest.mark.parametrize("budget", ["1.1x", "1.4x", "1.8x"])
def test_a_plateau_never_breaks_the_budget(kind: str, budget: str) -> None:
    """A third of the rows have an MSP of exactly 1 at the first stage, and a fifth tie at the bottom."""
    scores = saturated(outputs(4000, members=2), 0.33)
    logits = scores.outputs.copy()
    flat = np.argsort(softmax(logits[0]).max(axis=1))[:800]
    logits[0, flat] = np.random.default_rng(0).normal(size=(800, 1))  # equal scores, other outputs
    settings = FitSettings(kind=kind, budget=budget, method="paper", objective="risk@coverage=0.9")
    tied = replace(scores, outputs=logits, macs=(1.0, 1.0))
    policy = fit(tied, PAIR, settings)
    spent = evaluate(policy, PAIR, choosing_rows(tied, settings))["cost"]
    assert spent <= parse_budget(budget).value + 0.02
    if kind == "threshold":
        assert spent == pytest.approx(parse_budget(budget).value, abs=0.02)
        assert policy.ties[0] != () or budget != "1.1x"


def test_a_budget_in_seconds_is_kept() -> None:
    """The second member is dear in MACs and cheap in seconds."""
    scores = replace(outputs(4000, members=2), macs=(1.0, 50.0), seconds=(0.002, 0.001))
    settings = FitSettings(kind="threshold", budget="2.25ms")
    policy = fit(scores, PAIR, settings)
    played = replay(policy, PAIR, choosing_rows(scores, settings))
    assert played.forwarded()[0] == pytest.approx(0.25, abs=0.002)
    assert policy.budget == "2.25ms"
    with pytest.raises(FitError, match=r"budget 2.25ms needs the array seconds"):
        fit(outputs(400), STAGES, settings)


def test_an_ensemble_gains_coverage_and_a_window_keeps_most_of_it() -> None:
    coverage = {
        kind: evaluate(fit(outputs(8000), STAGES, FitSettings(kind=kind)), STAGES, FRESH)["coverage"]
        for kind in ("first", "full")
    }
    coverage["window"] = evaluate(large_fit(), STAGES, FRESH)["coverage"]
    assert coverage["first"] + 0.05 < coverage["window"] < coverage["full"]
    assert coverage["window"] - coverage["first"] > 0.4 * (coverage["full"] - coverage["first"])


def test_risk_stays_near_the_target_on_new_rows_at_every_depth() -> None:
    """Cut short, it may be lower: rows that left by themselves lend nothing to the harder others."""
    assert evaluate(large_fit(), STAGES, FRESH)["risk"] == pytest.approx(0.05, abs=0.015)
    for max_stages in (1, 2):
        figures = evaluate(large_fit(), STAGES, FRESH, max_stages)
        assert 0.01 < figures["risk"] < 0.06
        assert figures["coverage"] > 0.5


def test_confidence_is_the_chance_of_being_right_at_every_depth() -> None:
    played = replay(large_fit(), STAGES, FRESH)
    correct = played.label == FRESH.labels
    for stage in (1, 2, 3):
        rows = played.exit_stage == stage
        if rows.any():
            assert correct[rows].mean() == pytest.approx(played.confidence[rows].mean(), abs=0.03)
    assert (played.exit_stage > 1).any()
    assert brier(played.confidence, correct) < brier(played.score, correct) - 0.005


def test_the_same_seed_gives_the_same_policy() -> None:
    scores = outputs(600, members=2)
    policy = fit(scores, PAIR, FitSettings())
    assert fit(scores, PAIR, FitSettings()) == policy
    assert fit(scores, PAIR, FitSettings(seed=1)) != policy


def test_any_seed_will_do() -> None:
    tied = saturated(outputs(400, members=2), 0.5)
    settings = FitSettings(kind="threshold", budget="2.6x", seed=2**70)
    policy = fit(tied, PAIR, settings)
    assert policy.ties[0] != ()
    assert 0.7 < replay(policy, PAIR, tied).forwarded()[0] < 0.9


def test_the_two_parts_never_divide_a_group() -> None:
    scores = outputs(400, groups=True)
    assert scores.groups is not None
    objective = parse_objective("accuracy")
    choosing, accepting = divided(scores, objective, FitSettings(seed=3))
    assert len(choosing) == len(accepting) == 200
    assert not set(scores.groups[choosing]) & set(scores.groups[accepting])
    few, many = divided(scores, objective, FitSettings(choosing_share=0.2))
    assert (len(few), len(many)) == (80, 320)


def test_acceptance_is_set_on_rows_that_chose_nothing() -> None:
    """With the labels of the accepting part spoilt, all that decides stays and less is accepted."""
    scores = outputs(1000, members=2)
    settings = FitSettings(budget="2x")
    first = fit(scores, PAIR, settings)
    _, accepting = divided(scores, parse_objective(settings.objective), settings)
    labels = scores.labels.copy()
    labels[accepting] = (labels[accepting] + 1) % 5
    second = fit(replace(scores, labels=labels), PAIR, settings)
    for name in ("windows", "ties", "weights", "temperatures", "calibrators", "ranked_by", "placements"):
        assert getattr(second, name) == getattr(first, name), name
    assert second.accept_above[0] > first.accept_above[0]
    assert [subset.calibrator for subset in second.subsets] == [s.calibrator for s in first.subsets]
    assert second.subsets[0].accept_above > first.subsets[0].accept_above


def test_what_decides_is_chosen_on_the_choosing_rows() -> None:
    scores = outputs(2000, members=2)
    settings = FitSettings(method="paper")
    choosing, accepting = divided(scores, parse_objective(settings.objective), settings)
    logits = scores.outputs.copy()
    logits[:, accepting] = logits[:, accepting[::-1]] * 1.5
    assert fit(replace(scores, outputs=logits), PAIR, settings).windows == fit(scores, PAIR, settings).windows
    logits[:, choosing] *= 1.5
    assert fit(replace(scores, outputs=logits), PAIR, settings).windows != fit(scores, PAIR, settings).windows


@pytest.mark.parametrize("stages", [WIDE, (("a", "b"), ("c",)), (("a", "b", "c"),)])
@pytest.mark.parametrize("kind", ["window", "agreement"])
def test_stages_of_several_members(stages: Stages, kind: str) -> None:
    scores = outputs(800)
    macs = [sum((1.0, 2.0, 3.0)["abc".index(name)] for name in stage) for stage in stages]
    policy = fit(scores, stages, FitSettings(kind=kind, budget="1.5x", objective="risk@coverage=0.8"))
    figures = evaluate(policy, stages, FRESH)
    assert figures["coverage"] == pytest.approx(0.8, abs=0.06)
    assert figures["accuracy"] > 0.74
    if kind == "window" and len(stages) > 1:
        assert figures["cost_macs"] <= 1.6 * macs[0]
    if kind == "agreement" and len(stages) == 2:
        both = softmax(FRESH.outputs[0]).argmax(axis=1) == softmax(FRESH.outputs[1]).argmax(axis=1)
        expected = (1.0,) if stages == WIDE else ((~both).mean(),)
        assert figures["forwarded"] == pytest.approx(expected)


def test_one_member_alone_can_be_fitted() -> None:
    policy = fit(outputs(2000, members=1), (("a",),), FitSettings())
    figures = evaluate(policy, (("a",),), outputs(20_000, 9, members=1))
    assert policy.windows == ()
    assert (figures["cost"], figures["forwarded"]) == (1.0, [])
    assert figures["risk"] == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("score", ["entropy", "margin", "max_logit", "energy", "doctor_alpha", "doctor_beta"])
def test_every_score_can_be_fitted(score: str) -> None:
    policy = fit(outputs(3000, members=2), PAIR, FitSettings(score=score, method="paper"))
    figures = evaluate(policy, PAIR, outputs(20_000, 9, members=2))
    assert figures["risk"] == pytest.approx(0.05, abs=0.02)
    assert figures["cost"] == pytest.approx(1.3, abs=0.05)


def strange_rows(scores: ScoresFile) -> ScoresFile:
    """The out-of-distribution rows as rows of their own, for a replay; their labels mean nothing."""
    assert scores.ood_outputs is not None
    labels = np.zeros(scores.num_ood, np.int64)
    return replace(scores, outputs=scores.ood_outputs, labels=labels, ood_outputs=None, ood_families=())


def played_both(objective: str, kind: str = "window", method: str = "paper") -> tuple[Replay, Replay, Policy]:
    """A fit on made-up rows, replayed on fresh ones inside and outside the distribution."""
    settings = FitSettings(kind=kind, method=method, objective=objective)
    policy = fit(outputs(2000, members=2, num_ood=1000), PAIR, settings)
    return replay(policy, PAIR, FRESH_OOD), replay(policy, PAIR, strange_rows(FRESH_OOD)), policy


def test_coverage_at_risk_with_strange_rows_counts_them_as_errors() -> None:
    inside, strange, _ = played_both("coverage@risk=0.15,ood=0.2")
    wrong = inside.accepted & (inside.label != FRESH_OOD.labels)
    accepted = 0.8 * inside.accepted.mean() + 0.2 * strange.accepted.mean()
    assert (0.8 * wrong.mean() + 0.2 * strange.accepted.mean()) / accepted == pytest.approx(0.15, abs=0.03)
    assert accepted > 0.5
    mixed_cost = 1 + 2 * (0.8 * inside.forwarded()[0] + 0.2 * strange.forwarded()[0])
    assert mixed_cost == pytest.approx(1.3, abs=0.06)


def test_risk_at_coverage_with_strange_rows_covers_the_mixture() -> None:
    inside, strange, _ = played_both("risk@coverage=0.6,ood=0.25")
    assert 0.75 * inside.accepted.mean() + 0.25 * strange.accepted.mean() == pytest.approx(0.6, abs=0.04)


@pytest.mark.parametrize("objective", ["accuracy", "accuracy,ood=0.2"])
def test_accuracy_accepts_every_row(objective: str) -> None:
    inside, strange, policy = played_both(objective)
    assert set(policy.accept_above) == {-math.inf}
    assert inside.accepted.all()
    assert strange.accepted.all()
    first = softmax(FRESH_OOD.outputs[0]).argmax(axis=1)
    assert (inside.label == FRESH_OOD.labels).mean() > (first == FRESH_OOD.labels).mean() + 0.005


def test_risk_at_coverage_accepts_that_share() -> None:
    inside, _, _ = played_both("risk@coverage=0.8")
    assert inside.accepted.mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("kind", ["window", "threshold"])
def test_strange_rows_are_rejected_at_a_given_true_positive_rate(kind: str) -> None:
    inside, strange, policy = played_both("fpr@tpr=0.9", kind, "auto")
    assert inside.accepted.mean() == pytest.approx(0.9, abs=0.02)
    assert 1 + 2 * inside.forwarded()[0] == pytest.approx(1.3, abs=0.06), "strange rows cost nothing"
    if kind == "window":
        first, strange_first, _ = played_both("fpr@tpr=0.9", "first")
        assert first.accepted.mean() == pytest.approx(0.9, abs=0.02)
        assert strange.accepted.mean() < strange_first.accepted.mean()
    assert "ood_families" not in policy.evidence, "a family without a name cannot be told from another"
    assert policy.evidence["mixture"]["coverage"][0] < policy.evidence["coverage"][0]


def test_a_threshold_forwards_the_strange_rows_below_it_too() -> None:
    """Where rows that cost nothing lie lowest, a window open below forwards them, as a threshold does."""
    scores = outputs(2000, members=2, num_ood=500)
    assert scores.ood_outputs is not None
    flat = replace(scores, ood_outputs=(scores.ood_outputs * 1e-3).astype(np.float32))
    policy = fit(flat, PAIR, FitSettings(kind="threshold", objective="fpr@tpr=0.9"))
    assert replay(policy, PAIR, strange_rows(flat)).forwarded() == (1.0,)
    assert policy.evidence["objective_value"] == 0.0


def test_a_decision_agrees_with_the_full_ensemble() -> None:
    objective = "decision@class=1,threshold=0.6"
    inside, _, policy = played_both(objective)
    chance = (softmax(FRESH_OOD.outputs[0]) + softmax(FRESH_OOD.outputs[1]))[:, 1] / 2
    first = softmax(FRESH_OOD.outputs[0])[:, 1] >= 0.6
    agreed = (inside.accepted == (chance >= 0.6)).mean()
    assert policy.score == "class=1"
    assert (set(policy.accept_above), policy.weights, policy.temperatures) == ({0.6}, (), ())
    assert agreed > (first == (chance >= 0.6)).mean()
    assert agreed > 0.995
    is_class = FRESH_OOD.labels == 1
    assert inside.confidence.mean() == pytest.approx(is_class.mean(), abs=0.02)


def test_a_decision_lowers_the_mean_cost_of_errors() -> None:
    inside, _, _ = played_both("decision@class=1,threshold=0.2,fp=1,fn=4")
    is_class = FRESH_OOD.labels == 1
    first = softmax(FRESH_OOD.outputs[0])[:, 1] >= 0.2

    def cost(positive: np.ndarray) -> float:
        return float((positive & ~is_class).mean() + 4 * (~positive & is_class).mean())

    assert cost(inside.accepted) < cost(first) - 0.01


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"objective": "luck"}, FitError, "unknown objective 'luck'; there are: coverage@risk=R"),
        ({"objective": "coverage@risk=5"}, FitError, "must lie between 0 and 1"),
        ({"objective": "coverage@risk"}, FitError, "'' is no number"),
        ({"objective": "accuracy=1"}, FitError, "takes no value"),
        (
            {"objective": "fpr@tpr=0.9"},
            FitError,
            "needs 20 out-of-distribution rows or more, and there are no",
        ),
        ({"objective": "accuracy,ood=0.1"}, FitError, "needs 20 out-of-distribution rows"),
        ({"objective": "decision@class=5,threshold=0.5"}, PolicyError, "the classes are 0 to 4"),
        ({"budget": "cheap"}, FitError, "not of the form 1.2x, 0.6full, 3e6macs or 2.5ms"),
        ({"budget": "0.9x"}, FitError, "below the cost of stage 1"),
        ({"kind": "guess"}, PolicyError, "unknown kind of policy 'guess'"),
        ({"score": "luck"}, PolicyError, "unknown score 'luck'"),
        ({"method": "luck"}, FitError, "unknown method 'luck'; there are: "),
        ({"seed": -1}, FitError, "seed must be 0 or more, got -1"),
        ({"choosing_share": 1.0}, FitError, "choosing_share must lie between 0 and 1, got 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit(outputs(200), STAGES, FitSettings(**settings))  # type: ignore[arg-type]


def test_scores_of_logits_need_logits() -> None:
    scores = outputs(200)
    made = np.stack([softmax(member) for member in scores.outputs])
    with pytest.raises(PolicyError, match="'energy' needs logits"):
        fit(replace(scores, outputs=made, kind="probabilities"), STAGES, FitSettings(score="energy"))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(FitError, match="39 rows are too few to fit on; at least 40 are needed"):
        fit(outputs(39), STAGES, FitSettings())
    assert fit(outputs(40), STAGES, FitSettings(method="paper")).evidence["rows"] == 20
    with pytest.raises(FitError, match="and there are 19"):
        fit(outputs(200, num_ood=19), STAGES, FitSettings(objective="fpr@tpr=0.9"))


def test_a_group_too_large_to_divide_is_refused() -> None:
    lumped = replace(outputs(200), groups=np.r_[np.zeros(195, int), np.arange(1, 6)])
    with pytest.raises(FitError, match="the rows' 6 groups cannot be divided into two parts"):
        fit(lumped, STAGES, FitSettings())


def test_the_evidence_is_what_the_accepting_rows_say() -> None:
    scores, settings = outputs(2000, members=2), FitSettings(kind="threshold")
    policy = fit(scores, PAIR, settings)
    rows = scores.rows(divided(scores, parse_objective(settings.objective), settings)[1])
    figures = evaluate(policy, PAIR, rows)
    evidence = policy.evidence
    for name in ("coverage", "risk", "accuracy"):
        value, low, high = evidence[name]
        assert value == pytest.approx(figures[name], abs=1e-6)
        assert low < value < high
    assert evidence["cost"] == pytest.approx(figures["cost"])
    assert evidence["forwarded"] == pytest.approx(figures["forwarded"])
    msp = softmax(rows.outputs[0]).max(axis=1) if rows.kind == "logits" else rows.outputs[0].max(axis=1)
    quantiles = np.quantile(msp, np.linspace(0, 1, 21), method="inverted_cdf")
    assert policy.known_scores == pytest.approx(quantiles, abs=1e-6)
    assert evidence["objective_value"] == pytest.approx(figures["objective"]["value"], abs=1e-6)
    assert (evidence["rows"], evidence["choosing_rows"], evidence["seed"]) == (1000, 1000, 0)
    assert evidence["calibration"][0]["calibration_error"] < 0.06
    assert evidence["calibration"][0]["brier"] < 0.25


def test_members_are_named_with_their_sha256() -> None:
    known = replace(outputs(200, members=2), sha256=("00", "11"))
    policy = fit(known, PAIR, FitSettings(kind="first"))
    assert policy.members == {"a": "00", "b": "11"}
    assert fit(outputs(200, members=2), PAIR, FitSettings(kind="first")).members == {"a": None, "b": None}


def test_certified_rows_are_spread_as_rows_are() -> None:
    """Half of the groups are large: most rows lie in them, so most of the judged groups are such."""
    scores = outputs(3200)
    groups = np.r_[np.repeat(np.arange(200), 15), np.arange(200, 400)]
    bench = Bench(replace(scores, groups=groups), STAGES, FitSettings(kind="first", certify=0.1))
    judged = groups[bench.judges().accepting]
    assert len(np.unique(judged)) == len(judged), "no group is judged twice"
    assert (judged < 200).mean() == pytest.approx(15 / 16, abs=0.06)
