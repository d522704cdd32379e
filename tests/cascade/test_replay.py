"""Replay against a row-by-row loop written out."""

import numpy as np
import pytest

from cascade.errors import PolicyError
from cascade.policy import ExitReason, Policy, Window
from cascade.replay import replay
from cascade.scores_file import ScoresFile
from tests.cascade.test_fit import STAGES, outputs

POLICIES = {
    "window": Policy(kind="window", num_stages=3, windows=(Window(0.5, 0.8), Window(0.4, 0.7))),
    "threshold": Policy(kind="threshold", num_stages=3, thresholds=(0.7, 0.6)),
    "agreement": Policy(kind="agreement", num_stages=3),
    "first": Policy(kind="first", num_stages=3),
    "full": Policy(kind="full", num_stages=3),
}


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
    policy = Policy(kind="first", num_stages=3, members={"b": "0"})
    with pytest.raises(PolicyError, match="fitted on another 'b'"):
        replay(policy, STAGES, known)
    with pytest.raises(PolicyError, match="has 3 stages, the cascade 2"):
        replay(policy, (("a",), ("b",)), scores)
    with pytest.raises(PolicyError, match="max_stages must be 1 or more, got 0"):
        replay(policy, STAGES, scores, max_stages=0)
