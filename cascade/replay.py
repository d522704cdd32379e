"""A policy run over saved outputs, row by row the same as the server would."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.errors import PolicyError
from cascade.policy import Conclusion, Policy, Verdict, conclude, decide
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.stages import Stages


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Per row what the wire would carry: `probabilities` (N, classes), the rest (N,).

    `exit_stage` counts from 1. `stage_scores[k]` is the score at stage k (from 0) of the rows that
    reached it, NaN elsewhere.
    """

    probabilities: Array
    label: NDArray[np.int64]
    score: Array
    confidence: Array
    accepted: NDArray[np.bool_]
    exit_stage: NDArray[np.int32]
    exit_reason: NDArray[np.uint8]
    stage_scores: Array

    def reached(self, stage: int) -> NDArray[np.bool_]:
        """Rows that ran `stage` (from 0)."""
        return self.exit_stage > stage

    def forwarded(self) -> tuple[float, ...]:
        """Share of all rows that leave each stage but the last for the next."""
        return tuple(float(self.reached(stage + 1).mean()) for stage in range(len(self.stage_scores) - 1))


def replay(policy: Policy, stages: Stages, scores: ScoresFile, max_stages: int | None = None) -> Replay:
    """Run `policy` over all rows. `stages` names the members of each; `max_stages` cuts rows short."""
    if policy.num_stages != len(stages):
        raise PolicyError(f"the policy has {policy.num_stages} stages, the cascade {len(stages)}")
    if max_stages is not None and max_stages < 1:
        raise PolicyError(f"max_stages must be 1 or more, got {max_stages}")
    check_fitted_on(policy, scores)
    result = _empty(scores, len(stages))
    rows = np.arange(scores.num_rows)
    for stage in range(len(stages)):
        members = [scores.member(name) for names in stages[: stage + 1] for name in names]
        outputs = [scores.outputs[member, rows] for member in members]
        conclusion = conclude(policy, stage, outputs, [scores.kind] * len(members), max_stages)
        _settle(result, stage, rows, conclusion)
        rows = rows[conclusion.forward]
        if len(rows) == 0:
            break
    return result


def stage_verdicts(policy: Policy, stages: Stages, scores: ScoresFile) -> list[Verdict]:
    """What each stage would say of every row, had all rows reached it."""
    verdicts = []
    for stage in range(len(stages)):
        members = [scores.member(name) for names in stages[: stage + 1] for name in names]
        outputs = [scores.outputs[member] for member in members]
        verdicts.append(decide(policy, stage, outputs, [scores.kind] * len(members)))
    return verdicts


def check_fitted_on(policy: Policy, scores: ScoresFile) -> None:
    """Refuse outputs of members other than those the policy was fitted on."""
    if not scores.sha256:
        return
    known = dict(zip(scores.names, scores.sha256, strict=True))
    for name, sha256 in policy.members.items():
        if sha256 is not None and known.get(name, sha256) != sha256:
            raise PolicyError(f"the policy was fitted on another {name!r} (sha256 {sha256})")


def _empty(scores: ScoresFile, num_stages: int) -> Replay:
    n = scores.num_rows
    return Replay(
        probabilities=np.empty((n, scores.outputs.shape[2])),
        label=np.empty(n, np.int64),
        score=np.empty(n),
        confidence=np.empty(n),
        accepted=np.empty(n, np.bool_),
        exit_stage=np.zeros(n, np.int32),
        exit_reason=np.empty(n, np.uint8),
        stage_scores=np.full((num_stages, n), np.nan),
    )


def _settle(result: Replay, stage: int, rows: NDArray[np.intp], conclusion: Conclusion) -> None:
    exits = ~conclusion.forward
    left = rows[exits]
    verdict = conclusion.verdict
    result.stage_scores[stage, rows] = verdict.score
    result.probabilities[left] = verdict.probabilities[exits]
    result.label[left] = verdict.label[exits]
    result.score[left] = verdict.score[exits]
    result.confidence[left] = conclusion.confidence[exits]
    result.accepted[left] = conclusion.accepted[exits]
    result.exit_stage[left] = stage + 1
    result.exit_reason[left] = conclusion.reason[exits]
