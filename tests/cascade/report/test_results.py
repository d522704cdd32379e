"""The figures are those of `evaluate`, and their intervals hold them."""

from dataclasses import replace

import numpy as np
import pytest

from cascade.evaluate import evaluate
from cascade.fitting.fit import FitSettings, fit
from cascade.intervals import Estimate
from cascade.metrics import risk_coverage
from cascade.objectives.parse import parse_objective
from cascade.policy import Policy
from cascade.report import frontier, resampling
from cascade.report.figures import figures_of, verdict_on
from cascade.report.frontier import Line, Point, gain_over
from cascade.report.judged import yardstick_of
from cascade.report.plot_reliability import reliability
from cascade.report.policies import Named, beside_given
from cascade.report.resampling import resamples
from cascade.report.results import Question, Results, results_of
from cascade.verdict import TargetCheck
from tests.cascade.made_up import STAGES
from tests.cascade.report.rows import rows


@pytest.fixture(scope="module")
def results() -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frontier, "NUM_BUDGETS", 2)
        patch.setattr(resampling, "RESAMPLES", 40)
        return results_of(question())


def question(**changes: object) -> Question:
    asked = FitSettings(objective="coverage@risk=0.1", budget="2x")
    made = Question(source="rows.npz", scores=rows(), test=None, stages=STAGES, asked=asked)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_all_policies_are_judged_by_the_figures_of_evaluate(results: Results) -> None:
    assert results.names == ["first", "threshold", "paper", "window", "full"]
    for figures in results.figures:
        judged = figures.judged
        told = evaluate(judged.policy, STAGES, results.parts.judge)
        for name in ("accuracy", "coverage", "risk", "cost", "aurc"):
            assert figures.estimates[name].value == pytest.approx(told[name]), (figures.name, name)
        assert figures.estimates["value"].value == pytest.approx(told["objective"]["value"])
        assert figures.estimates["ood_accepted"].value == pytest.approx(told["ood"]["accepted"])
        assert judged.exits() == pytest.approx(told["exits"])


def test_intervals_hold_their_values(results: Results) -> None:
    for figures in results.figures:
        for estimate in figures.estimates.values():
            assert estimate.low <= estimate.value <= estimate.high


@pytest.mark.parametrize(
    "text", ["risk@coverage=0.8,ood=0.2", "fpr@tpr=0.9", "accuracy", "decision@class=1,threshold=0.4"]
)
def test_every_objective_has_the_value_that_evaluate_tells(text: str) -> None:
    objective = parse_objective(text)
    policy = fit(rows(), STAGES, FitSettings(kind="threshold", objective=text, budget="2x"))
    fresh = rows(seed=5)
    yardstick = yardstick_of(fresh, STAGES, objective, "msp")
    figures = figures_of(yardstick.judge(Named("t", policy)), objective, resamples(yardstick, 0))
    told = evaluate(replace(policy, evidence={}), STAGES, fresh)
    assert figures.estimates["value"].value == pytest.approx(told["objective"]["value"])
    assert figures.estimates["cost"].value == pytest.approx(told["cost"])
    assert ("risk" in figures.estimates) == (not text.startswith("decision"))


def test_groups_are_drawn_as_wholes_and_ood_rows_for_themselves() -> None:
    yardstick = yardstick_of(rows(), STAGES, parse_objective("fpr@tpr=0.9"), "msp")
    counts = resamples(yardstick, 0).counts
    inside, outside = counts[:, :600], counts[:, 600:]
    assert (inside.reshape(-1, 150, 4) == inside.reshape(-1, 150, 4)[:, :, :1]).all()
    assert set(inside.sum(axis=1)) == {600}
    assert set(outside.sum(axis=1)) == {120}
    assert len(np.unique(outside[0])) > 1


def test_the_frontier_runs_from_stage_1_to_all_members(results: Results) -> None:
    assert [line.name for line in results.lines] == ["threshold", "paper", "window"]
    threshold = results.lines[0]
    assert [point.budget for point in threshold.points] == pytest.approx([1.0, 6.0])
    assert [point.cost for point in threshold.points] == pytest.approx([1.0, 6.0])
    ends = [results.of_kind("first"), results.of_kind("full")]
    values = [end.estimates["value"].value for end in ends if end is not None]
    assert [point.value.value for point in threshold.points] == pytest.approx(values)


def test_a_gain_is_positive_where_less_is_better_and_there_is_less() -> None:
    def line(value: float) -> Line:
        values = np.array([value - 0.01, value + 0.01])
        return Line("", (Point(2.0, 2.0, Estimate(value, *values), values),))

    (gain,) = gain_over(line(0.1), line(0.3), parse_objective("risk@coverage=0.8"))
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.2, 0.2, 0.2))
    (gain,) = gain_over(line(0.1), line(0.3), parse_objective("coverage@risk=0.1"))
    assert gain.value == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("text", "name", "estimate", "verdict"),
    [
        ("coverage@risk=0.1", "risk", (0.07, 0.05, 0.1), TargetCheck.MET),
        ("coverage@risk=0.1", "risk", (0.1, 0.08, 0.12), TargetCheck.NEARLY_MET),
        ("coverage@risk=0.1", "risk", (0.11, 0.09, 0.13), TargetCheck.NEARLY_MISSED),
        ("coverage@risk=0.1", "risk", (0.13, 0.11, 0.15), TargetCheck.MISSED),
        ("coverage@risk=0.1", "risk", (np.nan, np.nan, np.nan), TargetCheck.MET),
        ("risk@coverage=0.8", "coverage", (0.81, 0.7, 0.9), TargetCheck.NEARLY_MET),
        ("risk@coverage=0.8", "coverage", (0.79, 0.7, 0.9), TargetCheck.NEARLY_MISSED),
        ("fpr@tpr=0.8", "coverage", (0.6, 0.5, 0.7), TargetCheck.MISSED),
        ("accuracy", "accuracy", (0.6, 0.5, 0.7), TargetCheck.NONE),
    ],
)
def test_targets(text: str, name: str, estimate: tuple[float, float, float], verdict: TargetCheck) -> None:
    assert verdict_on(parse_objective(text), {name: Estimate(*estimate)}) is verdict


def test_rows_of_equal_confidence_share_a_bin(results: Results) -> None:
    judged = results.figures[0].judged
    flat = replace(
        judged,
        confidence=np.full(len(judged.rank), 0.7),
        event=np.arange(len(judged.rank)) < len(judged.rank) / 2,
        depth=np.zeros(len(judged.rank), np.intp),
    )
    measured = reliability(flat, 0, np.arange(len(judged.rank)))
    assert measured is not None
    assert [(b.confidence, b.rate) for b in measured.bins] == [(pytest.approx(0.7), pytest.approx(0.5))]
    assert measured.calibration_error == pytest.approx(0.2)
    assert reliability(flat, 1, np.arange(len(judged.rank))) is None


def test_the_main_policy_is_ours_or_the_first_given(results: Results) -> None:
    assert results.main.name == "window"
    given = [Named("mine", Policy(kind="threshold", num_stages=3, thresholds=(0.5, 0.5)))]
    named = beside_given(given, rows(), STAGES, FitSettings())
    assert [one.name for one in named] == ["first", "mine", "full"]
    twice = beside_given([*given, *given], rows(), STAGES, FitSettings())
    assert [one.name for one in twice] == ["first", "mine", "mine (2)", "full"]


def test_the_deployed_risk_lies_on_the_curve(results: Results) -> None:
    """Where one threshold holds at all depths, the operating point is a point of the curve."""
    judged = next(figures.judged for figures in results.figures if figures.name == "full")
    curve = risk_coverage(judged.rank, judged.outcome, judged.weight)
    coverage, risk = float(judged.accepted.mean()), float((~judged.correct[judged.accepted]).mean())
    at = int(np.abs(curve.coverage - coverage).argmin())
    assert (curve.coverage[at], curve.risk[at]) == pytest.approx((coverage, risk))
