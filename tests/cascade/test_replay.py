"""Replay against a row-by-row loop written out, and against itself in other chunks."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.decision import ExitReason
from cascade.errors import PolicyError
from cascade.policy import Policy
from cascade.replay import Replay, replay, stage_verdicts
from cascade.scores_file import ScoresFile
from cascade.window import Window

STAGES = (("a",), ("b",), ("c",))
POLICIES = {
    "window": Policy(kind="window", num_stages=3, windows=(Window(0.5, 0.8), Window(0.4, 0.7))),
    "threshold": Policy(kind="threshold", num_stages=3, thresholds=(0.7, 0.6)),
    "agreement": Policy(kind="agreement", num_stages=3),
    "first": Policy(kind="first", num_stages=3),
    "full": Policy(kind="full", num_stages=3),
}


def outputs(rows: int, classes: int = 5, dtype: type = np.float32) -> ScoresFile:
    """Logits of three members of equal strength on rows of very different difficulty."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, rows)
    strength = rng.exponential(4.0, (1, rows, 1))
    logits = strength * np.eye(classes)[labels] + rng.normal(0, 1, (3, rows, classes))
    return ScoresFile(
        outputs=logits.astype(dtype),
        kind="logits",
        labels=labels,
        names=("a", "b", "c"),
        macs=(1.0, 2.0, 3.0),
    )


def one_row(policy: Policy, scores: ScoresFile, row: int) -> tuple[int, int, float]:
    """Label, exit stage and score of one row, by the definition."""
    mean, labels, score = np.zeros(5), [], 0.0
    for stage in range(3):
        z = scores.outputs[stage, row].astype(np.float64)
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        labels.append(p.argmax())
        mean = (mean * stage + p) / (stage + 1)
        score = mean.max()
        forward = {
            "window": stage < 2 and policy.windows[stage].lo <= score <= policy.windows[stage].hi
            if policy.windows
            else False,
            "threshold": bool(policy.thresholds) and stage < 2 and score < policy.thresholds[stage],
            "agreement": stage == 0 or len(set(labels)) > 1,
            "first": False,
            "full": True,
        }[policy.kind]
        if not forward or stage == 2:
            break
    return int(mean.argmax()), stage + 1, score


@pytest.mark.parametrize("kind", POLICIES)
def test_replay_equals_the_definition_row_by_row(kind: str) -> None:
    scores = outputs(300)
    played = replay(POLICIES[kind], STAGES, scores)
    expected = [one_row(POLICIES[kind], scores, row) for row in range(300)]
    assert played.label.tolist() == [label for label, _, _ in expected]
    assert played.exit_stage.tolist() == [stage for _, stage, _ in expected]
    np.testing.assert_allclose(played.score, [score for _, _, score in expected], rtol=1e-12)


def test_max_stages_cuts_what_would_go_on() -> None:
    scores = outputs(300)
    whole, cut = (replay(POLICIES["window"], STAGES, scores, max_stages) for max_stages in (None, 2))
    assert cut.exit_stage.tolist() == np.minimum(whole.exit_stage, 2).tolist()
    is_cut = cut.exit_reason == ExitReason.MAX_STAGES
    assert is_cut.tolist() == (whole.exit_stage == 3).tolist()


def test_stages_of_several_members_run_together() -> None:
    scores = outputs(100)
    two_stages = (("a",), ("b", "c"))
    played = replay(Policy(kind="full", num_stages=2), two_stages, scores)
    deep = replay(POLICIES["full"], STAGES, scores)
    assert np.array_equal(played.probabilities, deep.probabilities)
    assert set(played.exit_stage.tolist()) == {2}


def test_scores_of_stages_not_reached_are_no_numbers() -> None:
    played = replay(POLICIES["first"], STAGES, outputs(50))
    assert np.isfinite(played.stage_scores[0]).all()
    assert np.isnan(played.stage_scores[1:]).all()


def test_outputs_of_other_members_are_refused() -> None:
    scores = outputs(50)
    known = ScoresFile(
        outputs=scores.outputs,
        kind="logits",
        labels=scores.labels,
        names=scores.names,
        macs=scores.macs,
        sha256=("1", "2", "3"),
    )
    policy = Policy(kind="first", num_stages=3, members={"a": "1", "b": "0", "c": None})
    with pytest.raises(PolicyError, match="fitted on another 'b'"):
        replay(policy, STAGES, known)
    with pytest.raises(PolicyError, match="fitted on stages of a, b, c, and these are of b, a, c"):
        replay(policy, (("b",), ("a",), ("c",)), scores)
    with pytest.raises(PolicyError, match="has 3 stages, the cascade 2"):
        replay(policy, (("a",), ("b",)), scores)
    with pytest.raises(PolicyError, match="max_stages must be 1 or more, got 0"):
        replay(policy, STAGES, scores, max_stages=0)


def assert_same_bits(one: object, other: object) -> None:
    for field in fields(one):  # type: ignore[arg-type]
        left, right = getattr(one, field.name), getattr(other, field.name)
        assert (left.dtype, left.shape) == (right.dtype, right.shape), field.name
        assert left.tobytes() == right.tobytes(), field.name


SCORE_NAMES = ("msp", "entropy", "margin", "doctor_alpha", "doctor_beta", "max_logit", "energy")


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(POLICIES)),
    score=st.sampled_from(SCORE_NAMES),
    classes=st.sampled_from([2, 5, 17, 130, 1000]),
    chunk_rows=st.integers(1, 70),
    max_stages=st.sampled_from([None, 1, 2]),
    temperature=st.sampled_from([1.0, 1.7]),
)
def test_chunks_change_no_bit(
    kind: str, score: str, classes: int, chunk_rows: int, max_stages: int | None, temperature: float
) -> None:
    scores = outputs(61, classes)
    policy = replace(POLICIES[kind], score=score, temperatures=(temperature,) * 3)
    whole = replay(policy, STAGES, scores, max_stages, chunk_rows=61)
    assert_same_bits(replay(policy, STAGES, scores, max_stages, chunk_rows=chunk_rows), whole)
    verdicts = stage_verdicts(policy, STAGES, scores, chunk_rows=61)
    for chunked, verdict in zip(
        stage_verdicts(policy, STAGES, scores, chunk_rows=chunk_rows), verdicts, strict=True
    ):
        assert_same_bits(chunked, verdict)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_many_threads_change_no_bit(dtype: type) -> None:
    scores = outputs(3000, 40, dtype)
    whole = replay(POLICIES["window"], STAGES, scores, chunk_rows=3000)
    assert set(whole.exit_stage.tolist()) == {1, 2, 3}
    for chunk_rows in (7, 64, 999, 2999, None):
        assert_same_bits(replay(POLICIES["window"], STAGES, scores, chunk_rows=chunk_rows), whole)


def test_the_layout_of_the_outputs_changes_no_bit() -> None:
    scores = outputs(200, 300)
    turned = replace(scores, outputs=np.asfortranarray(scores.outputs))
    for chunk_rows in (200, 30):
        assert_same_bits(
            replay(POLICIES["window"], STAGES, turned, chunk_rows=chunk_rows),
            replay(POLICIES["window"], STAGES, scores),
        )


def test_the_labels_probability_is_that_of_the_final_combination() -> None:
    scores = outputs(300)
    played = replay(POLICIES["window"], STAGES, scores, chunk_rows=50)
    assert played.probabilities is not None
    assert np.array_equal(played.label_probability, played.probabilities[np.arange(300), scores.labels])
    right = played.label == scores.labels
    assert np.array_equal(played.label_probability[right], played.score[right])
    assert (played.label_probability[~right] < played.score[~right]).all()


def test_probabilities_are_kept_only_when_asked_for() -> None:
    scores = outputs(300)
    kept, spared = (
        replay(POLICIES["window"], STAGES, scores, keep_probabilities=keep, chunk_rows=50)
        for keep in (True, False)
    )
    assert spared.probabilities is None
    assert_same_bits(without_probabilities(kept), without_probabilities(spared))
    verdicts = stage_verdicts(POLICIES["full"], STAGES, scores, keep_probabilities=False)
    assert [verdict.probabilities for verdict in verdicts] == [None, None, None]


def without_probabilities(played: Replay) -> Replay:
    return replace(played, probabilities=played.label)


def test_verdicts_of_stages_are_those_of_rows_that_reach_them() -> None:
    scores = outputs(300)
    full = replay(POLICIES["full"], STAGES, scores)
    verdicts = stage_verdicts(POLICIES["window"], STAGES, scores, chunk_rows=70)
    for stage, verdict in enumerate(verdicts):
        assert np.array_equal(verdict.score, full.stage_scores[stage])
        cut = replay(POLICIES["full"], STAGES, scores, max_stages=stage + 1)
        assert_same_bits(
            replace(cut, probabilities=verdict.probabilities, label=verdict.label, score=verdict.score), cut
        )
        assert np.array_equal(verdict.label_probability, cut.label_probability)
    window = POLICIES["window"].windows[0]
    assert np.array_equal(verdicts[0].forward, window.contains(verdicts[0].score))
    assert not verdicts[2].forward.any()
