"""After a member has run, or failed: whose rows are through with their stage, and where they go.

Runs on the worker threads, one NumPy pass per group of rows that share cascade, policy and stage. Every
decision is one of `cascade.decision`'s. A row that lost a member ends as `cascade.replay` says: with whoever
did answer in its stage, else with the stage before, else it goes on to the next.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cascade.decision import Conclusion, ExitReason, conclude, conclude_subset
from cascade.scores import Array
from cascade.scores_checks import wrong_rows
from serving.drift import ScoreDrift
from serving.errors import MemberFailed, RequestError, RowsRefused
from serving.exits import Exits, write
from serving.jobs import Batch, Job, Rows, Work
from serving.recent_scores import RecentScores


@dataclass(slots=True)
class Gated:
    """What the gate made of a batch. Works still carry the stage the rows come from.

    Rows that are `forwarded` have been through it; those that `fell_over` go on because none of its members
    answered. `lost` are those for which a member gave nothing, `failed` the jobs that get no answer for it;
    `drifted` counts the scores of first stages, `recent` has those of all but the last.
    """

    forwarded: list[Work] = field(default_factory=list)
    fell_over: list[Work] = field(default_factory=list)
    exits: list[Exits] = field(default_factory=list)
    lost: list[tuple[Work, MemberFailed]] = field(default_factory=list)
    failed: list[tuple[Job, RequestError]] = field(default_factory=list)
    drifted: list[tuple[ScoreDrift, NDArray[np.int64]]] = field(default_factory=list)
    recent: list[tuple[RecentScores, Array]] = field(default_factory=list)

    @property
    def num_lost(self) -> int:
        return sum(len(work.rows) for work, _ in self.lost)

    def add(self, other: "Gated") -> None:
        self.forwarded += other.forwarded
        self.fell_over += other.fell_over
        self.exits += other.exits
        self.lost += other.lost
        self.failed += other.failed
        self.drifted += other.drifted
        self.recent += other.recent


def gather(batch: Batch) -> dict[str, NDArray[np.generic]]:
    """The inputs of a batch's rows by the member's own names."""
    first = batch.works[0]
    sources = [(work, work.job.served.slot_inputs[work.slot]) for work in batch.works]
    if len(sources) == 1 and len(first.rows) == first.job.num_rows:
        return {own: first.job.inputs[name] for own, name in sources[0][1]}
    return {
        own: np.concatenate([_rows(work, names[index][1]) for work, names in sources])
        for index, (own, _) in enumerate(sources[0][1])
    }


def _rows(work: Work, name: str) -> NDArray[np.generic]:
    """A view where they are all of the job's, which are in order."""
    array = work.job.inputs[name]
    return array if len(work.rows) == len(array) else array[work.rows]


class Gate:
    """Holds back the rows of a stage until its last member has answered for them, or failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def pass_through(self, batch: Batch, outputs: NDArray[np.floating]) -> Gated:
        """Keep a member's `(rows, classes)` outputs, then gate the rows whose stage is complete. Rows whose
        outputs can be no prediction are lost."""
        gated, complete, start = Gated(), [], 0
        first = batch.works[0]
        wrong = wrong_rows(outputs, first.job.served.kinds[first.slot])
        any_wrong = bool(wrong.any())
        for work in batch.works:
            part = slice(start, start + len(work.rows))
            start = part.stop
            self._keep(work, outputs[part])
            if any_wrong and wrong[part].any():
                text = f"member {batch.member.key!r} gave what can be no prediction"
                self._lose(_some(work, work.rows[wrong[part]]), MemberFailed(text), gated)
            complete += self._arrive(work)
        _conclude(complete, gated)
        return gated

    def lose(self, works: Sequence[Work], error: MemberFailed) -> Gated:
        """Their member gave nothing for these rows."""
        gated, complete = Gated(), []
        for work in works:
            self._lose(work, error, gated)
            complete += self._arrive(work)
        _conclude(complete, gated)
        return gated

    def _lose(self, work: Work, error: MemberFailed, gated: Gated) -> None:
        job = work.job
        gated.lost.append((work, error))
        with self._lock:
            if job.lost is None:
                job.lost = np.zeros((job.num_rows, len(job.outputs)), np.bool_)
        job.lost[work.rows, work.slot] = True
        job.loss = error
        if job.is_strict or (isinstance(error, RowsRefused) and work.stage == 0):
            gated.failed.append((job, error))

    def _keep(self, work: Work, outputs: NDArray[np.floating]) -> None:
        """Batches of one job may end at once on several threads, and only one may make its array."""
        job = work.job
        if len(work.rows) == job.num_rows:
            job.outputs[work.slot] = outputs
            return
        with self._lock:
            kept = job.outputs[work.slot]
            if kept is None:
                kept = np.empty((job.num_rows, outputs.shape[1]), outputs.dtype)
                job.outputs[work.slot] = kept
        kept[work.rows] = outputs

    def _arrive(self, work: Work) -> list[Work]:
        """Of its rows those for which this member was the last of its stage. Members answer on several
        threads."""
        size = len(work.job.served.stage_slots[work.stage])
        if size == 1:
            return [work]
        with self._lock:
            work.job.arrived[work.rows] += 1
            rows: Rows = work.rows[work.job.arrived[work.rows] == size]
            work.job.arrived[rows] = 0
        return [_some(work, rows)] if len(rows) else []


def _some(work: Work, rows: Rows) -> Work:
    return Work(work.job, rows, work.stage, work.slot, work.entered_s)


def _conclude(complete: Sequence[Work], gated: Gated) -> None:
    groups: dict[tuple[int, int, int, int | None, bool], list[Work]] = {}
    for work in complete:
        job = work.job
        whole = _end_those_without(work, gated)
        if len(whole.rows):
            key = (id(job.served), id(job.policy), work.stage, job.max_stages, job.is_audit)
            groups.setdefault(key, []).append(whole)
    for works in groups.values():
        _conclude_group(works, gated)


def _end_those_without(work: Work, gated: Gated) -> Work:
    """Conclude the rows that have lost a member so far; the others are given back."""
    job = work.job
    if job.lost is None:
        return work
    lost = job.lost[work.rows, : job.served.stage_slots[work.stage].stop]
    is_without = lost.any(axis=1)
    for pattern in np.unique(lost[is_without], axis=0):
        rows = work.rows[(lost == pattern).all(axis=1)]
        _end_without(_some(work, rows), pattern, gated)
    return _some(work, work.rows[~is_without])


def _end_without(work: Work, is_lost: NDArray[np.bool_], gated: Gated) -> None:
    """End rows for which these members gave nothing, so far, of all slots through their stage."""
    job, here = work.job, work.job.served.stage_slots[work.stage]
    if is_lost.all():
        if work.stage + 1 < job.served.num_stages:
            gated.fell_over.append(work)
        else:
            gated.failed.append((job, job.loss or MemberFailed("no member answered")))
        return
    if is_lost[here.start :].all():
        left, conclusion = work.stage - 1, _stage_before(work)
    else:
        left, conclusion = work.stage, _with_those(work, np.flatnonzero(~is_lost).tolist())
    written = write(job.answer, left, work.rows, conclusion, slice(None))
    gated.exits.append(Exits(job, left, work.stage, work.rows, *written, is_degraded=True))


def _stage_before(work: Work) -> Conclusion:
    """They were forwarded by the stage before, and are cut short there."""
    job, left = work.job, work.stage - 1
    slots = range(job.served.stage_slots[left].stop)
    outputs = [_outputs_so_far([work], slot) for slot in slots]
    kinds = job.served.kinds[: len(slots)]
    return conclude(job.policy, left, outputs, kinds, work.stage, cut_as=ExitReason.MEMBER_FAILED)


def _with_those(work: Work, slots: Sequence[int]) -> Conclusion:
    served = work.job.served
    names = [served.slot_names[slot] for slot in slots]
    outputs = [_outputs_so_far([work], slot) for slot in slots]
    kinds = [served.kinds[slot] for slot in slots]
    return conclude_subset(work.job.policy, served.cascade.stages, names, outputs, kinds)


def _conclude_group(works: Sequence[Work], gated: Gated) -> None:
    job, stage = works[0].job, works[0].stage
    num_slots = job.served.stage_slots[stage].stop
    outputs = [_outputs_so_far(works, slot) for slot in range(num_slots)]
    conclusion = conclude(job.policy, stage, outputs, job.served.kinds[:num_slots], job.max_stages)
    if not job.is_audit:
        _note_scores(job, stage, conclusion.verdict.score, gated)
    start = 0
    for work in works:
        _settle(work, conclusion, slice(start, start + len(work.rows)), gated)
        start += len(work.rows)


def _outputs_so_far(works: Sequence[Work], slot: int) -> NDArray[np.floating]:
    parts = [
        kept if len(work.rows) == len(kept) else kept[work.rows]
        for work in works
        if (kept := work.job.outputs[slot]) is not None
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _note_scores(job: Job, stage: int, scores: Array, gated: Gated) -> None:
    """Of all works of a group."""
    served, name = job.served, job.policy_name
    if stage == 0 and name in served.drift:
        gated.drifted.append((served.drift[name], served.drift[name].binned(scores)))
    if stage + 1 < served.num_stages and name in served.recent:
        gated.recent.append((served.recent[name][stage], scores))


def _settle(work: Work, conclusion: Conclusion, part: slice, gated: Gated) -> None:
    """Write the rows of `work` that exit into their job's answer; pass the others on."""
    forward = conclusion.forward[part]
    num_forwarded = int(forward.sum())
    if num_forwarded == len(work.rows):
        gated.forwarded.append(work)
        return
    if num_forwarded == 0:
        _exit(work, work.rows, conclusion, part, gated)
        return
    gated.forwarded.append(_some(work, work.rows[forward]))
    _exit(work, work.rows[~forward], conclusion, np.flatnonzero(~forward) + part.start, gated)


def _exit(work: Work, rows: Rows, conclusion: Conclusion, chosen: slice | Rows, gated: Gated) -> None:
    written = write(work.job.answer, work.stage, rows, conclusion, chosen)
    gated.exits.append(Exits(work.job, work.stage, work.stage, rows, *written))
