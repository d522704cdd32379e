"""A policy run over saved outputs, row by row the same as the server would.

Rows are taken in chunks: no row depends on another, so the result is the same, bit for bit, whatever the
chunks.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cascade.chunks import map_rows
from cascade.decision import Conclusion, ExitReason, Verdict, conclude, conclude_subset, decide
from cascade.errors import PolicyError
from cascade.policy import Policy
from cascade.scores import Array, OutputKind, check_score
from cascade.scores_file import ScoresFile
from cascade.stages import Stages

Rows = NDArray[np.intp] | slice


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Per row what the wire would carry: `probabilities` (N, classes) where they are kept, the rest (N,).

    `label_probability` is the probability of the true label in the combination that the row left with, NaN
    where the label is not known.
    `exit_stage` counts from 1. `stage_scores[k]` is the score at stage k (from 0) of the rows that
    reached it, NaN elsewhere.
    """

    probabilities: Array | None
    label: NDArray[np.int64]
    label_probability: Array
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


@dataclass(frozen=True, kw_only=True)
class StageVerdict:
    """What a stage would say of every row: as `Verdict`, with `label_probability` as in `Replay`."""

    probabilities: Array | None
    label: NDArray[np.int64]
    label_probability: Array
    score: Array
    forward: NDArray[np.bool_]


def replay(
    policy: Policy,
    stages: Stages,
    scores: ScoresFile,
    max_stages: int | None = None,
    *,
    failed: Collection[str] = (),
    keep_probabilities: bool = True,
    chunk_rows: int | None = None,
) -> Replay:
    """Run `policy` over all rows. `stages` names the members of each; `max_stages` cuts rows short.

    Members that `failed` never answer: a row that reaches a stage of theirs ends there, with whoever did
    answer; where nobody has yet, it ends with the first stage that does answer.
    `keep_probabilities` costs 8 bytes per row and class. `chunk_rows` is for tuning alone.
    """
    if policy.num_stages != len(stages):
        raise PolicyError(f"the policy has {policy.num_stages} stages, the cascade {len(stages)}")
    if max_stages is not None and max_stages < 1:
        raise PolicyError(f"max_stages must be 1 or more, got {max_stages}")
    check_fitted_on(policy, stages, scores)
    check_score(policy.score, scores.kind, scores.num_classes)
    steps = steps_without(stages, failed)
    members = [[scores.member(name) for name in step.answered] for step in steps]
    result = _empty(scores, len(stages), keep_probabilities)

    def play(chunk: slice) -> None:
        rows = np.arange(chunk.start, chunk.stop)
        for number, (step, so_far) in enumerate(zip(steps, members, strict=True)):
            outputs = _outputs(scores, so_far, chunk if number == 0 else rows)
            conclusion = step.conclude(policy, stages, outputs, scores.kind, max_stages)
            _settle(result, step.stage, rows, conclusion, scores.labels)
            rows = rows[conclusion.forward]
            if len(rows) == 0:
                break

    _each_chunk(play, scores, chunk_rows)
    return result


@dataclass(frozen=True)
class Step:
    """A stage that some members answer: all of them so far, or only those that did not fail.

    `ends` says that what would go on cannot, because nobody of the next stage answers.
    """

    stage: int
    answered: tuple[str, ...]
    is_whole: bool
    ends: bool = False

    def conclude(
        self,
        policy: Policy,
        stages: Stages,
        outputs: list[NDArray[np.floating]],
        kind: OutputKind,
        max_stages: int | None,
    ) -> Conclusion:
        kinds = [kind] * len(outputs)
        if not self.is_whole:
            return conclude_subset(policy, stages, self.answered, outputs, kinds)
        if not self.ends or max_stages == self.stage + 1:
            return conclude(policy, self.stage, outputs, kinds, max_stages)
        cut = conclude(policy, self.stage, outputs, kinds, self.stage + 1)
        is_cut = cut.reason == ExitReason.MAX_STAGES
        return replace(cut, reason=np.where(is_cut, np.uint8(ExitReason.MEMBER_FAILED), cut.reason))


def steps_without(stages: Stages, failed: Collection[str]) -> tuple[Step, ...]:
    """The stages that rows can run when members have failed; PolicyError where nobody is left."""
    unknown = sorted(set(failed) - {name for names in stages for name in names})
    if unknown:
        raise PolicyError(f"no stage has a member {', '.join(map(repr, unknown))}, so it cannot fail")
    steps: list[Step] = []
    answered: tuple[str, ...] = ()
    asked = 0
    for stage, names in enumerate(stages):
        asked += len(names)
        alive = tuple(name for name in names if name not in failed)
        answered += alive
        if alive:
            steps.append(Step(stage, answered, len(answered) == asked))
        elif steps:
            steps[-1] = replace(steps[-1], ends=True)
        if answered and len(answered) < asked:
            break
    if not steps:
        raise PolicyError("every member failed, so there is no answer to judge")
    return tuple(steps)


def stage_verdicts(
    policy: Policy,
    stages: Stages,
    scores: ScoresFile,
    *,
    keep_probabilities: bool = True,
    chunk_rows: int | None = None,
) -> list[StageVerdict]:
    """What each stage would say of every row, had all rows reached it. Options as of `replay`."""
    members = _members_so_far(stages, scores)
    results = [_no_verdict(scores, keep_probabilities) for _ in stages]

    def judge(chunk: slice) -> None:
        for stage, (so_far, result) in enumerate(zip(members, results, strict=True)):
            outputs = _outputs(scores, so_far, chunk)
            verdict = decide(policy, stage, outputs, [scores.kind] * len(so_far))
            _note(result, chunk, verdict, scores.labels[chunk])

    _each_chunk(judge, scores, chunk_rows)
    return results


def check_fitted_on(policy: Policy, stages: Stages, scores: ScoresFile) -> None:
    """Refuse stages and outputs of members other than those the policy was fitted on, in their order."""
    fitted, asked = list(policy.members), [name for names in stages for name in names]
    if fitted and fitted != asked:
        raise PolicyError(
            f"the policy was fitted on stages of {', '.join(fitted)}, and these are of {', '.join(asked)}"
        )
    if not scores.sha256:
        return
    known = dict(zip(scores.names, scores.sha256, strict=True))
    for name, sha256 in policy.members.items():
        if sha256 is not None and known.get(name, sha256) != sha256:
            raise PolicyError(f"the policy was fitted on another {name!r} (sha256 {sha256})")


def _members_so_far(stages: Stages, scores: ScoresFile) -> list[list[int]]:
    """Per stage, the numbers of all members that have run by its end."""
    return [
        [scores.member(name) for names in stages[: stage + 1] for name in names]
        for stage in range(len(stages))
    ]


def _outputs(scores: ScoresFile, members: list[int], rows: Rows) -> list[NDArray[np.floating]]:
    """Row-major, as the server has them: in which order NumPy sums follows from the layout."""
    return [np.ascontiguousarray(scores.outputs[member][rows]) for member in members]


def _each_chunk(function: Callable[[slice], None], scores: ScoresFile, chunk_rows: int | None) -> None:
    """Chunks are disjoint, so threads that fill one result never meet in it."""
    for _ in map_rows(function, scores.num_rows, scores.num_classes, chunk_rows):
        pass


def _empty(scores: ScoresFile, num_stages: int, keep_probabilities: bool) -> Replay:
    n = scores.num_rows
    return Replay(
        probabilities=np.empty((n, scores.num_classes)) if keep_probabilities else None,
        label=np.empty(n, np.int64),
        label_probability=np.empty(n),
        score=np.empty(n),
        confidence=np.empty(n),
        accepted=np.empty(n, np.bool_),
        exit_stage=np.zeros(n, np.int32),
        exit_reason=np.empty(n, np.uint8),
        stage_scores=np.full((num_stages, n), np.nan),
    )


def _settle(
    result: Replay,
    stage: int,
    rows: NDArray[np.intp],
    conclusion: Conclusion,
    labels: NDArray[np.int64],
) -> None:
    exits = np.flatnonzero(~conclusion.forward)
    left = rows[exits]
    verdict = conclusion.verdict
    result.stage_scores[stage, rows] = verdict.score
    if result.probabilities is not None:
        result.probabilities[left] = verdict.probabilities[exits]
    result.label[left] = verdict.label[exits]
    result.label_probability[left] = _probability_of(labels[left], verdict.probabilities[exits])
    result.score[left] = verdict.score[exits]
    result.confidence[left] = conclusion.confidence[exits]
    result.accepted[left] = conclusion.accepted[exits]
    result.exit_stage[left] = stage + 1
    result.exit_reason[left] = conclusion.reason[exits]


def _probability_of(labels: NDArray[np.int64], probabilities: Array) -> Array:
    return np.where(labels >= 0, probabilities[np.arange(len(labels)), labels], np.nan)


def _no_verdict(scores: ScoresFile, keep_probabilities: bool) -> StageVerdict:
    n = scores.num_rows
    return StageVerdict(
        probabilities=np.empty((n, scores.num_classes)) if keep_probabilities else None,
        label=np.empty(n, np.int64),
        label_probability=np.empty(n),
        score=np.empty(n),
        forward=np.empty(n, np.bool_),
    )


def _note(result: StageVerdict, chunk: slice, verdict: Verdict, labels: NDArray[np.int64]) -> None:
    if result.probabilities is not None:
        result.probabilities[chunk] = verdict.probabilities
    result.label[chunk] = verdict.label
    result.label_probability[chunk] = _probability_of(labels, verdict.probabilities)
    result.score[chunk] = verdict.score
    result.forward[chunk] = verdict.forward
