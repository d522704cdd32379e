"""Figures of a policy against their definitions, written out row by row."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cascade.calibrator import Calibrator
from cascade.decision import ExitReason, conclude_subset
from cascade.errors import FormatError, PolicyError
from cascade.evaluate import evaluate
from cascade.fitting.fit import FitSettings, fit
from cascade.metrics import aurc
from cascade.policy import Policy
from cascade.replay import replay
from cascade.scores import softmax
from cascade.scores_file import ScoresFile
from cascade.window import Window
from tests.cascade.made_up import STAGES, outputs

SCORES = outputs(3000, seed=5)
WINDOW = Policy(
    kind="window",
    num_stages=3,
    windows=(Window(0.5, 0.9), Window(0.4, 0.8)),
    accept_above=(0.7, 0.65, 0.6),
    accept_above_cut=(0.8, 0.75, 0.9),
)


def for_objective(objective: str, **changes: Any) -> Policy:
    return replace(WINDOW, objective=objective, **changes)


def with_ood(rows: int = 2000, families: tuple[str, ...] = ("near", "far")) -> ScoresFile:
    """OOD rows of two families; those of the second are told apart better, being less sure."""
    scores = outputs(rows, seed=6, num_ood=800)
    assert scores.ood_outputs is not None
    names = np.repeat(families, 400)
    scale = np.where(names == families[1], 0.3, 1.5)[None, :, None]
    return replace(scores, ood_outputs=scores.ood_outputs * scale, ood_families=tuple(names))


def test_figures_equal_their_definitions() -> None:
    figures = evaluate(for_objective("accuracy"), STAGES, SCORES)
    played = replay(WINDOW, STAGES, SCORES)
    right = played.label == SCORES.labels
    assert figures["accuracy"] == figures["objective"]["value"] == right.mean()
    assert figures["coverage"] == played.accepted.mean()
    assert figures["risk"] == pytest.approx(1 - right[played.accepted].mean(), abs=1e-12)
    assert figures["cost"] == pytest.approx(np.array([1, 3, 6])[played.exit_stage - 1].mean())
    assert figures["forwarded"] == [(played.exit_stage > 1).mean(), (played.exit_stage > 2).mean()]
    assert figures["exits"] == [(played.exit_stage == stage).mean() for stage in (1, 2, 3)]
    assert figures["exit_reasons"]["last"] == (played.exit_stage == 3).mean()
    assert figures["effective_rows"] == figures["rows"] == 3000
    assert "cost_seconds" not in figures
    assert figures["ood"] is figures["decision"] is None


def test_rows_of_different_depths_compare_on_what_the_policy_says() -> None:
    """The calibrators swap the order of the depths, so that ranks by score and by confidence differ much."""
    sure, unsure = Calibrator((0.0, 1.0), (0.9, 1.0)), Calibrator((0.0, 1.0), (0.0, 0.1))
    policy = for_objective("risk@coverage=0.3", calibrators=(unsure, sure, sure))
    played = replay(policy, STAGES, SCORES)
    right = played.label == SCORES.labels
    for ranked_by, rank in (("score", played.score), ("confidence", played.confidence)):
        figures = evaluate(replace(policy, ranked_by=ranked_by), STAGES, SCORES)
        surest = np.argsort(-rank, kind="stable")[:900]
        assert figures["aurc"] == aurc(rank, right)
        assert figures["objective"]["value"] == pytest.approx(1 - right[surest].mean(), abs=1e-12)


def test_calibration_is_told_of_the_rows_that_exit_at_each_depth() -> None:
    calibrator = Calibrator((0.2, 1.0), (0.1, 0.95))
    policy = replace(WINDOW, calibrators=(calibrator, calibrator, calibrator))
    played = replay(policy, STAGES, SCORES)
    right = (played.label == SCORES.labels).astype(float)
    figures = evaluate(policy, STAGES, SCORES)
    for depth, told in enumerate(figures["calibration"]):
        rows = played.exit_stage == depth + 1
        chance = played.confidence[rows]
        loss = -(right[rows] * np.log(chance) + (1 - right[rows]) * np.log(1 - chance)).mean()
        assert told["rows"] == rows.sum()
        assert told["brier"] == pytest.approx(np.square(chance - right[rows]).mean())
        assert told["negative_log_likelihood"] == pytest.approx(loss)
        assert 0 < told["calibration_error"] < 1
    assert figures["brier"] == pytest.approx(np.square(played.confidence - right).mean())
    assert evaluate(policy, STAGES, SCORES, 2)["calibration"][2] is None


def test_the_deployed_threshold_is_held_against_the_target() -> None:
    lax = {"accept_above": (0.3, 0.3, 0.3)}
    risk = evaluate(replace(WINDOW, **lax), STAGES, SCORES)["risk"]
    for target, kept in ((risk * 2, "met"), (risk * 1.01, "met, within error"), (risk / 2, "missed")):
        policy = for_objective(f"coverage@risk={target:.6f}", **lax)
        told = evaluate(policy, STAGES, SCORES)["objective"]["deployed"]
        assert (told["figure"], told["value"], told["verdict"]) == ("risk", risk, kept)


def test_what_was_asked_is_told() -> None:
    policy = for_objective("accuracy", budget="2ms", evidence={"certified": True, "delta": 0.1})
    timed = replace(SCORES, seconds=(1e-3, 2e-3, 4e-3))
    told = evaluate(policy, STAGES, timed, 2, failed=("c",), priors=(0.2,) * 5)
    names = ("kind", "max_stages", "failed", "priors")
    assert [told[name] for name in names] == ["window", 2, ["c"], [0.2] * 5]
    assert (told["certified"], told["delta"]) == (True, 0.1)
    assert told["cost_in_budget"] == {"value": pytest.approx(told["cost_seconds"] * 1e3), "unit": "ms"}
    assert evaluate(policy, STAGES, SCORES)["cost_in_budget"] is None


def test_seconds_add_up_where_they_were_measured() -> None:
    timed = replace(SCORES, seconds=(1e-3, 2e-3, 4e-3))
    played = replay(WINDOW, STAGES, SCORES)
    spent = np.array([1e-3, 3e-3, 7e-3])[played.exit_stage - 1].mean()
    assert evaluate(WINDOW, STAGES, timed)["cost_seconds"] == pytest.approx(spent)


class TestDecision:
    OBJECTIVE = "decision@class=2,threshold=0.4"
    POLICY = Policy(
        kind="window",
        num_stages=3,
        score="class=2",
        windows=(Window(0.3, 0.5), Window(0.3, 0.5)),
        accept_above=(0.4, 0.4, 0.4),
    )

    def test_agreement_is_with_the_full_cascade(self) -> None:
        figures = evaluate(replace(self.POLICY, objective=self.OBJECTIVE), STAGES, SCORES)
        played = replay(self.POLICY, STAGES, SCORES)
        every = softmax(SCORES.outputs).mean(axis=0)[:, 2] >= 0.4
        assert figures["objective"]["value"] == pytest.approx((played.accepted == every).mean())
        assert figures["objective"]["value"] < 1
        of_class = SCORES.labels == 2
        assert figures["decision"]["false_negative_rate"] == (~played.accepted[of_class]).mean()
        assert figures["decision"]["false_positive_rate"] == played.accepted[~of_class].mean()
        assert figures["aurc"] is figures["intervals"]["aurc"] is figures["class_risk"] is None
        assert figures["objective"]["deployed"] is None

    def test_the_class_must_be_one_of_the_outputs(self) -> None:
        with pytest.raises(PolicyError, match="score 'class=5': the classes are 0 to 4"):
            evaluate(replace(self.POLICY, score="class=5"), STAGES, SCORES)

    def test_costs_are_per_row(self) -> None:
        objective = f"{self.OBJECTIVE},fp=1,fn=5"
        figures = evaluate(replace(self.POLICY, objective=objective), STAGES, SCORES)
        decided, of_class = replay(self.POLICY, STAGES, SCORES).accepted, SCORES.labels == 2
        spent = (decided & ~of_class) * 1 + (~decided & of_class) * 5
        assert figures["objective"]["value"] == pytest.approx(spent.mean())


class TestPriors:
    def test_weighted_rows_count_as_copies_do(self) -> None:
        """Priors under which each row of class 0 counts three times as much as any other."""
        scores = SCORES
        copies = np.where(scores.labels == 0, 3, 1)
        copied = scores.rows(np.repeat(np.arange(scores.num_rows), copies))
        priors = np.bincount(copied.labels) / copied.num_rows
        for objective in ("accuracy", "risk@coverage=0.7", "coverage@risk=0.1"):
            policy = for_objective(objective)
            weighted = evaluate(policy, STAGES, scores, priors=priors)
            plain = evaluate(policy, STAGES, copied)
            for name in ("accuracy", "coverage", "risk", "cost", "forwarded", "brier"):
                assert weighted[name] == pytest.approx(plain[name]), name
            assert weighted["aurc"] == pytest.approx(plain["aurc"], abs=1e-3)
            assert weighted["objective"]["value"] == pytest.approx(plain["objective"]["value"])
        assert weighted["accuracy"] != evaluate(policy, STAGES, scores)["accuracy"]

    def test_intervals_are_as_wide_as_the_effective_rows_make_them(self) -> None:
        priors = (0.8, 0.2, 0.0, 0.0, 0.0)
        figures = evaluate(WINDOW, STAGES, SCORES, priors=priors)
        weight = np.array(priors)[SCORES.labels] / np.bincount(SCORES.labels)[SCORES.labels]
        kish = weight.sum() ** 2 / np.square(weight).sum()
        assert figures["effective_rows"] == pytest.approx(kish)
        low, high = figures["intervals"]["accuracy"]
        spread = np.sqrt(figures["accuracy"] * (1 - figures["accuracy"]) / kish)
        assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.02)
        assert figures["class_risk"]["class"] in (0, 1)

    def test_a_class_without_rows_has_no_weight(self) -> None:
        some = SCORES.rows(np.flatnonzero(SCORES.labels != 3))
        assert evaluate(WINDOW, STAGES, some, priors=(0.5, 0.5, 0, 0, 0))["accuracy"] > 0
        with pytest.raises(FormatError, match=r"no rows of 1 classes with a prior \(3\)"):
            evaluate(WINDOW, STAGES, some, priors=(0.5, 0, 0, 0.5, 0))


def test_the_worst_class_is_the_one_most_often_wrong_among_the_accepted() -> None:
    """Members are blind to class 4; class 3 is always wrong, and so rarely accepted that it is left out."""
    scores = outputs(3000, seed=8)
    logits = scores.outputs.copy()
    logits[:, scores.labels == 4, 4] -= 2
    few = np.flatnonzero(scores.labels == 3)
    logits[:, few] = 0.01 * np.arange(5)
    logits[:, few[:9], 0] = 9.0
    scores = replace(scores, outputs=logits)
    played = replay(WINDOW, STAGES, scores)
    rows = played.accepted & (scores.labels == 4)
    told = evaluate(WINDOW, STAGES, scores)["class_risk"]
    assert told["class"] == 4
    assert told["value"] == pytest.approx((played.label[rows] != 4).mean())
    assert (told["accepted"], told["compared"], told["left_out"]) == (rows.sum(), 4, 1)
    assert told["interval"][0] < told["value"] < told["interval"][1]


class TestResampling:
    def test_an_interval_is_as_wide_as_theory_has_it(self) -> None:
        interval = evaluate(for_objective("accuracy"), STAGES, SCORES)["objective"]["interval"]
        exact = evaluate(for_objective("accuracy"), STAGES, SCORES)["intervals"]["accuracy"]
        assert interval == pytest.approx(exact, abs=0.005)

    def test_groups_are_drawn_as_wholes(self) -> None:
        """Four copies of each row tell no more than one: without groups intervals would halve."""
        one = SCORES.rows(np.arange(600))
        four = replace(one.rows(np.repeat(np.arange(600), 4)), groups=np.repeat(np.arange(600), 4))
        policy = for_objective("risk@coverage=0.8")
        widths = []
        for scores in (one, four, replace(four, groups=None)):
            figures = evaluate(policy, STAGES, scores)
            widths.append([np.ptp(figures["objective"]["interval"]), np.ptp(figures["intervals"]["aurc"])])
        assert widths[1] == pytest.approx(widths[0], rel=0.2)
        assert widths[2] == pytest.approx([width / 2 for width in widths[0]], rel=0.2)

    def test_a_group_that_is_often_wrong_comes_and_goes(self) -> None:
        """Members are blind to some groups: drawn out by hand, risk and area swing as told."""
        groups = np.arange(SCORES.num_rows) % 30
        logits = SCORES.outputs.copy()
        logits[:, groups < 6] *= 0.1
        logits[:, groups < 6, 0] += 6.0
        scores = replace(SCORES, outputs=logits, groups=groups)
        figures = evaluate(for_objective("risk@coverage=0.8"), STAGES, scores)
        played = replay(WINDOW, STAGES, scores)
        right, rng, drawn = played.label == scores.labels, np.random.default_rng(1), []
        for _ in range(300):
            rows = np.concatenate([np.flatnonzero(groups == group) for group in rng.integers(0, 30, 30)])
            surest = rows[np.argsort(-played.score[rows], kind="stable")]
            drawn.append(
                (1 - right[surest[: round(0.8 * len(rows))]].mean(), aurc(played.score[rows], right[rows]))
            )
        widths = np.diff(np.quantile(drawn, (0.025, 0.975), axis=0), axis=0)[0]
        told = [np.ptp(figures["objective"]["interval"]), np.ptp(figures["intervals"]["aurc"])]
        assert told == pytest.approx(widths.tolist(), rel=0.25)


class TestOutOfDistribution:
    def test_fpr_at_tpr(self) -> None:
        scores = with_ood()
        figures = evaluate(for_objective("fpr@tpr=0.9"), STAGES, scores)
        inside = replay(WINDOW, STAGES, scores)
        outside = replay(WINDOW, STAGES, scores.ood_as_rows())
        threshold = np.sort(inside.score)[200]
        assert figures["objective"]["value"] == pytest.approx((outside.score >= threshold).mean())
        assert figures["ood"]["accepted"] == outside.accepted.mean()
        pairs = np.sign(inside.score[:, None] - outside.score[None, :])
        assert figures["ood"]["auroc"] == pytest.approx((pairs + 1).mean() / 2)
        families = figures["ood"]["families"]
        assert families["near"]["accepted"] == outside.accepted[:400].mean()
        assert families["near"]["auroc"] < families["far"]["auroc"]

    def test_they_never_count_in_the_accuracy(self) -> None:
        scores = with_ood()
        bare = replace(scores, ood_outputs=None, ood_families=())
        for objective in ("fpr@tpr=0.9", "risk@coverage=0.8,ood=0.2"):
            mixed = evaluate(for_objective(objective), STAGES, scores)
            assert mixed["accuracy"] == evaluate(WINDOW, STAGES, bare)["accuracy"]

    def test_a_share_of_the_traffic_is_an_error_where_accepted(self) -> None:
        scores = with_ood()
        figures = evaluate(for_objective("accuracy,ood=0.25"), STAGES, scores)
        inside = replay(WINDOW, STAGES, scores)
        outside = replay(WINDOW, STAGES, scores.ood_as_rows())
        assert figures["objective"]["value"] == pytest.approx(0.75 * figures["accuracy"])
        kept = 0.75 * inside.accepted.mean(), 0.25 * outside.accepted.mean()
        wrong = 0.75 * (inside.accepted & (inside.label != scores.labels)).mean()
        assert figures["ood"]["mixture"]["coverage"] == pytest.approx(sum(kept))
        mixture = figures["ood"]["mixture"]
        assert mixture["risk"] == pytest.approx((wrong + kept[1]) / sum(kept))
        assert mixture["intervals"]["risk"][0] < mixture["risk"] < mixture["intervals"]["risk"][1]
        costs = [np.array([1, 3, 6])[played.exit_stage - 1].mean() for played in (inside, outside)]
        assert figures["cost"] == pytest.approx(0.75 * costs[0] + 0.25 * costs[1])

    def test_families_that_it_was_fitted_on_judge_nothing(self) -> None:
        scores = with_ood()
        policy = for_objective("fpr@tpr=0.9", evidence={"ood_families": ["near"]})
        assert list(evaluate(policy, STAGES, scores)["ood"]["families"]) == ["far"]
        with pytest.raises(FormatError, match="fitted on OOD family near"):
            evaluate(policy, STAGES, scores, ood_families=("near", "far"))
        with pytest.raises(FormatError, match="no OOD rows of family 'moon'"):
            evaluate(policy, STAGES, scores, ood_families=("moon",))

    @pytest.mark.parametrize("objective", ["fpr@tpr=0.9", "risk@coverage=0.8,ood=0.2"])
    def test_without_any_to_judge_on_all_but_the_value_is_told(self, objective: str) -> None:
        scores = with_ood()
        policy = for_objective(objective, evidence={"ood_families": ["near"]})
        for families, why in ((("near",), r"fitted on \(near\)"), ((), "there are none")):
            told = evaluate(policy, STAGES, scores.ood_of(families))
            assert told["objective"]["value"] is told["objective"]["interval"] is told["ood"] is None
            assert (told["objective"]["deployed"] is None) == ("ood=" in objective)
            (note,) = told["notes"]
            assert re.search(why, note)
            plain = evaluate(WINDOW, STAGES, scores.ood_of(families))
            for name in ("accuracy", "coverage", "risk", "cost", "exits"):
                assert told[name] == plain[name], name

    def test_rows_of_no_named_family_are_judged(self) -> None:
        unnamed = replace(with_ood(), ood_families=())
        told = evaluate(for_objective("fpr@tpr=0.9", evidence={}), STAGES, unnamed)
        assert told["ood"]["families"]["ood"]["rows"] == 800
        assert told["notes"] == []

    def test_rows_out_of_distribution_have_no_label(self) -> None:
        outside = replay(WINDOW, STAGES, with_ood().ood_as_rows())
        assert np.isnan(outside.label_probability).all()
        with pytest.raises(FormatError, match="labels are missing"):
            evaluate(WINDOW, STAGES, with_ood().ood_as_rows())


class TestFailedMembers:
    WIDE = (("a", "b"), ("c",))
    POLICY = fit(outputs(3000), WIDE, FitSettings(budget="1.5x", objective="coverage@risk=0.1"))

    def test_rows_end_with_whoever_answered(self) -> None:
        played = replay(self.POLICY, self.WIDE, SCORES, failed=("b",))
        alone = conclude_subset(self.POLICY, self.WIDE, ("a",), [SCORES.outputs[0]], ["logits"])
        assert set(played.exit_stage) == {1}
        assert set(played.exit_reason) == {ExitReason.MEMBER_FAILED}
        assert played.score.tolist() == alone.verdict.score.tolist()
        assert played.accepted.tolist() == alone.accepted.tolist()
        assert 0 < played.accepted.mean() < 1

    def test_rows_that_cannot_go_on_are_judged_as_cut_short(self) -> None:
        whole = replay(self.POLICY, self.WIDE, SCORES)
        cut = replay(self.POLICY, self.WIDE, SCORES, 1)
        played = replay(self.POLICY, self.WIDE, SCORES, failed=("c",))
        went_on = whole.exit_stage == 2
        assert 0 < went_on.mean() < 1
        assert ((played.exit_reason == ExitReason.MEMBER_FAILED) == went_on).all()
        assert played.accepted.tolist() == cut.accepted.tolist()
        asked = replay(self.POLICY, self.WIDE, SCORES, 1, failed=("c",))
        assert asked.exit_reason.tolist() == cut.exit_reason.tolist()

    def test_where_nobody_answered_the_next_stage_does(self) -> None:
        played = replay(self.POLICY, self.WIDE, SCORES, failed=("a", "b"))
        alone = conclude_subset(self.POLICY, self.WIDE, ("c",), [SCORES.outputs[2]], ["logits"])
        assert set(played.exit_stage) == {2}
        assert played.score.tolist() == alone.verdict.score.tolist()
        assert played.accepted.tolist() == alone.accepted.tolist()
        assert 0 < played.accepted.mean() < 1

    def test_later_stages_end_with_all_before_and_the_survivors(self) -> None:
        stages = (("a",), ("b", "c"))
        policy = fit(
            outputs(3000), stages, FitSettings(budget="2x", objective="coverage@risk=0.1", method="paper")
        )
        played = replay(policy, stages, SCORES, failed=("b",))
        whole = replay(policy, stages, SCORES)
        rows = np.flatnonzero(whole.exit_stage == 2)
        given = [SCORES.outputs[0, rows], SCORES.outputs[2, rows]]
        both = conclude_subset(policy, stages, ("a", "c"), given, ["logits"] * 2)
        assert played.exit_stage.tolist() == whole.exit_stage.tolist()
        assert played.score[rows].tolist() == both.verdict.score.tolist()
        assert played.accepted[rows].tolist() == both.accepted.tolist()

    def test_the_promise_holds_and_failed_members_cost_nothing(self) -> None:
        for failed, cost in (("b", 1 / 3), ("c", 1.0)):
            figures = evaluate(self.POLICY, self.WIDE, outputs(6000, seed=9), failed=(failed,))
            assert figures["risk"] < 0.13
            assert figures["cost"] == pytest.approx(cost)
            assert figures["exit_reasons"]["member_failed"] > 0

    def test_somebody_must_be_left(self) -> None:
        with pytest.raises(PolicyError, match="every member failed"):
            replay(WINDOW, STAGES, SCORES, failed=("a", "b", "c"))
        with pytest.raises(PolicyError, match="no stage has a member 'x'"):
            replay(WINDOW, STAGES, SCORES, failed=("x",))


@pytest.mark.parametrize(
    "objective",
    [
        *("coverage@risk=0.1", "risk@coverage=0.8", "accuracy", "fpr@tpr=0.9", "coverage@risk=0.2,ood=0.1"),
        *("decision@class=1,threshold=0.3", "decision@class=1,threshold=0.3,fp=1,fn=4"),
    ],
)
def test_every_objective_can_be_fitted_and_judged(objective: str) -> None:
    """On fresh rows its value is near what the rows that set the thresholds showed."""
    policy = fit(
        with_ood(2000, ("a", "b")), STAGES, FitSettings(objective=objective, budget="1.5x", method="paper")
    )
    told = evaluate(policy, STAGES, with_ood(2000, ("c", "d")))
    low, high = told["objective"]["interval"]
    assert low <= told["objective"]["value"] <= high
    assert told["objective"]["value"] == pytest.approx(policy.evidence["objective_value"], abs=0.06)
    assert told["cost"] == pytest.approx(policy.evidence["cost"], abs=0.1)
