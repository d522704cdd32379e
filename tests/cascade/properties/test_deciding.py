"""Properties of decisions: each row alone, whatever its neighbours, the order of rows or of classes."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.calibrator import Calibrator
from cascade.fitting.calibration import METHODS
from cascade.fitting.fit import FitSettings, fit
from cascade.metrics import risk_coverage
from cascade.policy import Policy
from cascade.replay import replay
from cascade.scores_file import ScoresFile
from tests.cascade.made_up import STAGES, outputs, saturated

steady = settings(max_examples=25, deadline=None, derandomize=True)
seeds = st.integers(0, 10**6)
kinds = st.sampled_from(["window", "threshold"])


def fitted(seed: int, kind: str, score: str = "msp") -> tuple[ScoresFile, Policy]:
    """Tied rows and a policy whose edges divide them."""
    scores = saturated(outputs(600, seed), 0.5)
    budget = "3.2x" if kind == "threshold" else "1.8x"
    settings = FitSettings(
        kind=kind, budget=budget, method="paper", objective="risk@coverage=0.5", score=score, seed=seed
    )
    return scores, fit(scores, STAGES, settings)


@steady
@given(seed=seeds, kind=kinds, raised=st.floats(0.0, 0.5), depth=st.integers(0, 2))
def test_the_higher_the_final_threshold_the_fewer_are_accepted(
    seed: int, kind: str, raised: float, depth: int
) -> None:
    scores, policy = fitted(seed, kind)
    above = tuple(
        threshold + raised * (stage == depth) for stage, threshold in enumerate(policy.accept_above)
    )
    before = replay(policy, STAGES, scores)
    after = replay(replace(policy, accept_above=above), STAGES, scores)
    assert not (after.accepted & ~before.accepted).any()
    changed = after.accepted != before.accepted
    assert (before.exit_stage[changed] == depth + 1).all()
    assert np.array_equal(after.exit_stage, before.exit_stage)


@steady
@given(seed=seeds, rows=st.integers(1, 60), values=st.integers(1, 20))
def test_coverage_rises_as_thresholds_fall(seed: int, rows: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, values, rows) / values
    curve = risk_coverage(score, rng.random(rows) < 0.7)
    assert (np.diff(curve.coverage) > 0).all()
    assert (np.diff(curve.thresholds) < 0).all()
    assert [(score >= threshold).mean() for threshold in curve.thresholds] == list(curve.coverage)


@steady
@given(seed=seeds, kind=kinds, score=st.sampled_from(["msp", "margin", "energy"]))
def test_the_order_of_rows_changes_no_verdict(seed: int, kind: str, score: str) -> None:
    scores, policy = fitted(seed, kind, score)
    order = np.random.default_rng(seed).permutation(scores.num_rows)
    played, permuted = replay(policy, STAGES, scores), replay(policy, STAGES, scores.rows(order))
    for name in ("label", "score", "confidence", "accepted", "exit_stage", "exit_reason"):
        assert np.array_equal(getattr(permuted, name), getattr(played, name)[order]), name


@steady
@given(seed=seeds, kind=kinds)
def test_the_order_of_classes_changes_no_verdict(seed: int, kind: str) -> None:
    """The fit is made anew: its scores differ in their last bits, its windows forward the same rows."""
    scores, policy = fitted(seed, kind)
    assert policy.ties[0] != () or kind == "window"
    order = np.random.default_rng(seed).permutation(5)
    renamed = replace(scores, outputs=scores.outputs[..., order], labels=np.argsort(order)[scores.labels])
    settings = FitSettings(
        kind=kind, budget=policy.budget or "", method="paper", objective="risk@coverage=0.5", seed=seed
    )
    played, other = replay(policy, STAGES, scores), replay(fit(renamed, STAGES, settings), STAGES, renamed)
    assert np.array_equal(order[other.label], played.label)
    for name in ("accepted", "exit_stage", "exit_reason"):
        assert np.array_equal(getattr(other, name), getattr(played, name)), name
    np.testing.assert_allclose(other.confidence, played.confidence, atol=1e-9)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    seed=seeds,
    rows=st.integers(1, 300),
    values=st.sampled_from([1, 3, 10**9]),
    method=st.sampled_from(sorted(METHODS)),
    lean=st.floats(0.0, 1.0),
    weighted=st.booleans(),
)
def test_any_rows_make_a_calibrator(
    seed: int, rows: int, values: int, method: str, lean: float, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, values, rows) / values
    event = rng.random(rows) < lean * score + (1 - lean) * rng.random()
    weight = rng.uniform(0.01, 20, rows) if weighted else None
    calibrator: Calibrator = METHODS[method](score, event, weight)
    confidence = calibrator(np.sort(score))
    assert (np.diff(confidence) >= 0).all()
    assert 0 < confidence[0] <= confidence[-1] < 1
    for chance in (confidence[0], confidence[-1], 0.3, 0.7):
        from_on = calibrator.score_at(chance)
        above = np.array([from_on + 1e-9]) if np.isfinite(from_on) else np.array([from_on])
        assert np.isinf(from_on) or calibrator(above)[0] >= chance - 1e-6
