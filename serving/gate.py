"""After a member has run: whose rows are through with their stage, and where they go.

Runs on the worker threads, one NumPy pass per group of rows that share cascade, policy and stage.
Every decision is `cascade.decision.conclude`'s.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cascade.decision import Conclusion, conclude
from serving.errors import MemberFailed, RequestError
from serving.jobs import Batch, Job, Rows, Work


@dataclass(slots=True)
class Exits:
    """Rows of one job that left at `stage` (from 0), counted by reason and by acceptance."""

    job: Job
    stage: int
    num_rows: int
    num_accepted: int
    reasons: NDArray[np.uint8]


@dataclass(slots=True)
class Gated:
    """What the gate made of a batch. `forwarded` still carries the stage the rows come from."""

    forwarded: list[Work] = field(default_factory=list)
    exits: list[Exits] = field(default_factory=list)
    failed: list[tuple[Job, RequestError]] = field(default_factory=list)

    def add(self, other: "Gated") -> None:
        self.forwarded += other.forwarded
        self.exits += other.exits
        self.failed += other.failed


def gather(batch: Batch) -> dict[str, NDArray[np.generic]]:
    """The inputs of a batch's rows, one array per input name."""
    first = batch.works[0]
    if len(batch.works) == 1 and len(first.rows) == first.job.num_rows:
        return dict(first.job.inputs)
    return {
        name: np.concatenate([work.job.inputs[name][work.rows] for work in batch.works])
        for name in first.job.inputs
    }


class Gate:
    """Holds back the rows of a stage until its last member has answered for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def pass_through(self, batch: Batch, outputs: NDArray[np.floating]) -> Gated:
        """Keep a member's `(rows, classes)` outputs, then gate the rows whose stage is complete."""
        gated = Gated()
        groups: dict[tuple[int, int, int, int | None], list[Work]] = {}
        for work in self._complete(batch, outputs, gated):
            job = work.job
            key = (id(job.served), id(job.policy), work.stage, job.max_stages)
            groups.setdefault(key, []).append(work)
        for works in groups.values():
            _conclude_group(works, gated)
        return gated

    def _complete(self, batch: Batch, outputs: NDArray[np.floating], gated: Gated) -> list[Work]:
        complete, start = [], 0
        is_finite = bool(np.isfinite(outputs).all())
        for work in batch.works:
            part = outputs[start : start + len(work.rows)]
            start += len(work.rows)
            if not is_finite and not np.isfinite(part).all():
                text = f"member {batch.member!r} gave numbers that are not finite"
                gated.failed.append((work.job, MemberFailed(text)))
                continue
            self._keep(work, part)
            size = len(work.job.served.stage_slots[work.stage])
            rows = work.rows if size == 1 else self._arrive(work, size)
            if len(rows):
                complete.append(Work(work.job, rows, work.stage, work.slot, work.entered_s))
        return complete

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

    def _arrive(self, work: Work, size: int) -> Rows:
        """Rows for which this member was the last of its stage. Members answer on several threads."""
        with self._lock:
            work.job.arrived[work.rows] += 1
            rows: Rows = work.rows[work.job.arrived[work.rows] == size]
            work.job.arrived[rows] = 0
        return rows


def _conclude_group(works: Sequence[Work], gated: Gated) -> None:
    job, stage = works[0].job, works[0].stage
    num_slots = job.served.stage_slots[stage].stop
    outputs = [_outputs_so_far(works, slot) for slot in range(num_slots)]
    conclusion = conclude(job.policy, stage, outputs, job.served.kinds[:num_slots], job.max_stages)
    start = 0
    for work in works:
        _settle(work, conclusion, slice(start, start + len(work.rows)), gated)
        start += len(work.rows)


def _outputs_so_far(works: Sequence[Work], slot: int) -> NDArray[np.floating]:
    parts = [kept[work.rows] for work in works if (kept := work.job.outputs[slot]) is not None]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _settle(work: Work, conclusion: Conclusion, part: slice, gated: Gated) -> None:
    """Write the rows of `work` that exit into their job's answer; pass the others on."""
    forward = conclusion.forward[part]
    if forward.all():
        gated.forwarded.append(work)
        return
    exits = ~forward
    left = work.rows[exits]
    if len(left) < len(work.rows):
        gated.forwarded.append(Work(work.job, work.rows[forward], work.stage, work.slot, work.entered_s))
    answer, verdict = work.job.answer, conclusion.verdict
    accepted, reasons = conclusion.accepted[part][exits], conclusion.reason[part][exits]
    answer.probabilities[left] = verdict.probabilities[part][exits]
    answer.label[left] = verdict.label[part][exits]
    answer.score[left] = verdict.score[part][exits]
    answer.confidence[left] = conclusion.confidence[part][exits]
    answer.accepted[left] = accepted
    answer.exit_reason[left] = reasons
    answer.exit_stage[left] = work.stage + 1
    gated.exits.append(Exits(work.job, work.stage, len(left), int(accepted.sum()), reasons))
