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
from serving.jobs import Answer, Batch, Job, Rows, Work


@dataclass(slots=True)
class Exits:
    """Rows of one job that left at `stage` (from 0), with their reasons and how many were accepted."""

    job: Job
    stage: int
    rows: Rows
    reasons: NDArray[np.uint8]
    num_accepted: int


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
                text = f"member {batch.member.key!r} gave numbers that are not finite"
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
    parts = [
        kept if len(work.rows) == len(kept) else kept[work.rows]
        for work in works
        if (kept := work.job.outputs[slot]) is not None
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _settle(work: Work, conclusion: Conclusion, part: slice, gated: Gated) -> None:
    """Write the rows of `work` that exit into their job's answer; pass the others on."""
    forward = conclusion.forward[part]
    num_forwarded = int(forward.sum())
    if num_forwarded == len(work.rows):
        gated.forwarded.append(work)
        return
    if num_forwarded == 0:
        written = write(work.job.answer, work.stage, work.rows, conclusion, part)
        gated.exits.append(Exits(work.job, work.stage, work.rows, *written))
        return
    gated.forwarded.append(Work(work.job, work.rows[forward], work.stage, work.slot, work.entered_s))
    left, chosen = work.rows[~forward], np.flatnonzero(~forward) + part.start
    written = write(work.job.answer, work.stage, left, conclusion, chosen)
    gated.exits.append(Exits(work.job, work.stage, left, *written))


def write(
    answer: Answer, stage: int, rows: Rows, conclusion: Conclusion, chosen: slice | Rows
) -> tuple[NDArray[np.uint8], int]:
    """Write what was concluded of the `chosen` into `rows` of an answer; their reasons, and how many are
    accepted."""
    verdict, accepted, reasons = conclusion.verdict, conclusion.accepted[chosen], conclusion.reason[chosen]
    # All rows of an answer are written by place, which NumPy does faster than by index.
    to = slice(None) if len(rows) == len(answer.label) else rows
    answer.probabilities[to] = verdict.probabilities[chosen]
    answer.label[to] = verdict.label[chosen]
    answer.score[to] = verdict.score[chosen]
    answer.confidence[to] = conclusion.confidence[chosen]
    answer.accepted[to] = accepted
    answer.exit_reason[to] = reasons
    answer.exit_stage[to] = stage + 1
    return reasons, int(np.count_nonzero(accepted))
