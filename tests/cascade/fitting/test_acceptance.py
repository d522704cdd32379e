"""Final thresholds at every depth and for every set of members, and what they promise."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from cascade.decision import conclude_subset
from cascade.errors import PolicyError
from cascade.fitting.acceptance import MAX_FAILED, sets_without, within_risk, within_risk_at_depths
from cascade.fitting.certificate import Ranked
from cascade.fitting.fit import FitSettings, divided, fit
from cascade.objectives.parse import parse_objective
from cascade.policy import ACCEPT_NONE, Policy
from cascade.replay import replay
from cascade.scores_file import ScoresFile
from tests.cascade.made_up import STAGES, outputs

WIDE = (("a",), ("b", "c"))
SETTINGS = FitSettings(method="paper", budget="2.5x")
SCORES = outputs(4000)
FRESH = outputs(20_000, seed=9)


@cache
def fitted(stages: tuple[tuple[str, ...], ...] = STAGES) -> Policy:
    return fit(SCORES, stages, SETTINGS)


def accepting_rows(scores: ScoresFile = SCORES) -> ScoresFile:
    _, accepting = divided(scores, parse_objective(SETTINGS.objective), SETTINGS)
    return scores.rows(accepting)


def judged(policy: Policy, scores: ScoresFile, max_stages: int | None) -> tuple[np.ndarray, ...]:
    """Whether each row is accepted, whether it is wrong, and whether it was cut short."""
    played = replay(policy, STAGES, scores, max_stages)
    whole = replay(policy, STAGES, scores)
    return played.accepted, played.label != scores.labels, played.exit_stage < whole.exit_stage


RANK = np.array([9.0, 8.0, 7.0, 6.0, 5.0])
OUTCOME = np.array([1.0, 1.0, 0.0, 1.0, 0.0])


def rows(*depths: int) -> Ranked:
    return Ranked(RANK, OUTCOME, np.ones(5), np.array(depths or [0] * 5))


def test_the_lowest_threshold_that_keeps_the_risk() -> None:
    assert within_risk(rows(), 0.25) == 5.5
    assert within_risk(rows(), 0.2) == 7.5
    assert within_risk(rows(), 0.4) == -math.inf
    assert within_risk(replace(rows(), weight=np.array([1.0, 1, 0.1, 1, 1])), 0.05) == 5.5


def test_few_rows_without_an_error_are_luck() -> None:
    assert within_risk(rows(), 0.2, at_least=2) == 7.5
    assert within_risk(rows(), 0.2, at_least=3) == ACCEPT_NONE
    assert within_risk(rows().where(np.zeros(5, np.bool_)), 0.2) == ACCEPT_NONE


def test_rows_that_leave_early_keep_the_risk_by_themselves() -> None:
    """The wrong row at rank 7 must not hide behind right ones that leave later; if it leaves last it may."""
    assert within_risk_at_depths(rows(0, 0, 1, 1, 1), 0.25, 2) == (5.5, 5.5)
    assert within_risk_at_depths(rows(1, 1, 0, 0, 1), 0.25, 2) == (math.inf, 6.5)
    assert within_risk_at_depths(rows(1, 1, 0, 0, 1), 0.5, 2) == (-math.inf, -math.inf)
    assert within_risk_at_depths(rows(1, 1, 1, 1, 1), 0.25, 2) == (math.inf, 5.5)


@pytest.mark.parametrize("max_stages", [None, 1, 2])
def test_the_risk_is_within_the_target_on_the_accepting_rows(max_stages: int | None) -> None:
    accepted, wrong, cut = judged(fitted(), accepting_rows(), max_stages)
    assert wrong[accepted].mean() <= 0.05
    assert accepted.mean() > 0.5
    if max_stages:
        assert cut.any()
        assert (accepted & cut).any()
        assert wrong[accepted & cut].mean() <= 0.05


@pytest.mark.parametrize("max_stages", [None, 1, 2])
def test_the_risk_is_near_the_target_on_fresh_rows(max_stages: int | None) -> None:
    accepted, wrong, _ = judged(fitted(), FRESH, max_stages)
    assert wrong[accepted].mean() <= 0.065


def test_cut_rows_have_a_threshold_of_their_own() -> None:
    """The rows that would go on are the harder ones: the threshold of the others would break the promise."""
    policy = fitted()
    as_others = replace(policy, accept_above_cut=policy.accept_above)
    accepted, wrong, cut = judged(as_others, FRESH, 1)
    assert wrong[accepted & cut].mean() > 0.07
    assert policy.accept_above_cut[0] > policy.accept_above[0]
    assert policy.accept_above_cut[2] == ACCEPT_NONE


def test_sets_without_members_that_failed() -> None:
    assert sets_without((("a",),)) == []
    assert sets_without((("a",), ("b",))) == [(("b",), 0)]
    assert sets_without(WIDE) == [
        (("a", "b"), 1),
        (("a", "c"), 1),
        (("b",), 0),
        (("c",), 0),
        (("b", "c"), 0),
    ]
    assert sets_without((("a", "b"), ("c",))) == [(("a",), 0), (("b",), 0), (("c",), 0)]


def test_at_most_two_of_a_wide_stage_may_fail() -> None:
    sizes = sorted(len(kept) for kept, _ in sets_without((("a", "b", "c", "d", "e"),)))
    assert sizes == [3] * 10 + [4] * 5
    assert MAX_FAILED == 2


def subset_outputs(scores: ScoresFile, answered: tuple[str, ...]) -> list[np.ndarray]:
    return [scores.outputs[scores.member(name)] for name in answered]


@pytest.mark.parametrize("stages", [STAGES, WIDE, (("b", "c"), ("a",))])
def test_every_set_that_may_be_left_is_fitted(stages: tuple[tuple[str, ...], ...]) -> None:
    policy = fitted(stages)
    assert [subset.members for subset in policy.subsets] == [kept for kept, _ in sets_without(stages)]
    kept_rows = accepting_rows()
    whole = replay(policy, stages, kept_rows)
    for answered, stage in sets_without(stages):
        outputs_of = subset_outputs(kept_rows, answered)
        conclusion = conclude_subset(policy, stages, answered, outputs_of, ["logits"] * len(answered))
        kept = conclusion.accepted & whole.reached(stage)
        wrong = conclusion.verdict.label != kept_rows.labels
        assert wrong[kept].mean() <= 0.05
        assert kept.sum() > 0.3 * whole.reached(stage).sum()
        reached = whole.reached(stage)
        assert conclusion.confidence[reached].mean() == pytest.approx(1 - wrong[reached].mean(), abs=0.05)


def test_a_set_that_was_not_fitted_is_not_accepted() -> None:
    policy = fitted(WIDE)
    answers = subset_outputs(FRESH, ("a", "b", "c"))
    conclusion = conclude_subset(policy, WIDE, ("a", "b", "c"), answers, ["logits"] * 3)
    assert not conclusion.accepted.any()
    assert policy.subset(("c", "b")) == policy.subset(("b", "c")) != policy.subset(("b",))


def test_sets_reject_out_of_distribution_rows_as_the_others_do() -> None:
    """With a share of 0.2 of the traffic out of distribution, each one accepted counts as an error."""
    objective = parse_objective("coverage@risk=0.15,ood=0.2")
    settings = replace(SETTINGS, objective=str(objective))
    scores = outputs(3000, num_ood=1500)
    policy = fit(scores, WIDE, settings)
    _, accepting = divided(scores, objective, settings)
    inside = scores.rows(accepting[accepting < 3000])
    assert scores.ood_outputs is not None
    strange = scores.ood_outputs[:, accepting[accepting >= 3000] - 3000]
    for answered in (("b",), ("b", "c")):
        slots = [scores.member(name) for name in answered]
        kept, strange_kept = (
            conclude_subset(policy, WIDE, answered, [of[slot] for slot in slots], ["logits"] * len(slots))
            for of in (inside.outputs, strange)
        )
        errors = (kept.verdict.label != inside.labels) & kept.accepted
        share = 0.8 * kept.accepted.mean() + 0.2 * strange_kept.accepted.mean()
        risk = (0.8 * errors.mean() + 0.2 * strange_kept.accepted.mean()) / share
        assert risk == pytest.approx(0.15, abs=0.01)


def test_a_target_that_no_row_meets_accepts_nothing() -> None:
    wrong = replace(outputs(200), labels=(outputs(200).labels + 2) % 5)
    policy = fit(wrong, STAGES, FitSettings(method="paper", objective="coverage@risk=0.0001"))
    assert not replay(policy, STAGES, outputs(200)).accepted.any()
    assert {subset.accept_above for subset in policy.subsets} == {ACCEPT_NONE}


def test_outputs_of_another_shape_of_policy_are_refused() -> None:
    with pytest.raises(PolicyError, match="has 3 stages, the cascade 2"):
        replay(fitted(), WIDE, FRESH)
