"""Audits: some rows are run through all members too, to tell how often the cascade agrees with them.

Rows are drawn by a coin when their request is taken, not when there happens to be time: quiet hours are not
like busy ones. They are run at the lowest priority once the request has its answer. Those that are not, for
want of time or because a member failed, are counted as missing, since they are not like the others either.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cascade.decision import ExitReason
from serving.config import AuditConfig
from serving.errors import RequestError
from serving.jobs import Answer, Job, Rows, Terms
from serving.scheduling.flows import BACKGROUND_LEVEL
from serving.served import ServedCascade
from serving.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Audit:
    """What all members together say of some of a request's rows."""

    rows: Rows
    label: NDArray[np.int64]


class Drawn(NamedTuple):
    """Rows of an answered request, with their inputs. Each has been through the first so many of `stages`,
    one less than there are at most; `outputs[slot]` is what those members made of them."""

    job: Job
    rows: Rows
    inputs: Mapping[str, NDArray[np.generic]]
    stages: Rows
    outputs: Sequence[NDArray[np.floating] | None]


NUM_GAPS = 64
LONGEST_GAP = 2**48
NOBODY: Rows = np.empty(0, np.intp)
Done = Callable[[Job, Audit | None], None]
"""Told of every answered request once its audit is over; None where it had none, or none was made."""


class Auditor:
    """`draw` at admission; then `begin` with the answered job, or `missed` where there is no answer.

    Rows of several requests are run together, since rows one by one would cost much more than they need.
    """

    def __init__(
        self, config: AuditConfig, run: Callable[[Job], Awaitable[None]], statistics: Statistics, done: Done
    ) -> None:
        self._config = config
        self._run = run
        self._statistics = statistics
        self._done = done
        self._coin = np.random.default_rng()
        self._passed_by = int(self._gaps()[0]) - 1 if config.share else 0
        self._tasks: set[asyncio.Task[Answer | None]] = set()
        self._gathered: dict[ServedCascade, list[Drawn]] = {}
        self._waiting_rows = 0
        self._is_closed = False

    def draw(self, job: Job) -> Rows:
        """The rows to be audited; those of a cascade of one stage have nobody to be compared with."""
        if not self._config.share or job.served.num_stages == 1:
            return NOBODY
        if self._passed_by >= job.num_rows:
            self._passed_by -= job.num_rows
            return NOBODY
        places = np.array([self._passed_by])
        while places[-1] < job.num_rows:
            places = np.append(places, places[-1] + np.cumsum(self._gaps()))
        num_drawn = int(np.searchsorted(places, job.num_rows))
        self._passed_by = int(places[num_drawn]) - job.num_rows
        return places[:num_drawn]

    def _gaps(self) -> NDArray[np.int64]:
        """From one row that is drawn to the next: as a coin would leave them that is thrown for each row."""
        return np.minimum(self._coin.geometric(self._config.share, NUM_GAPS), LONGEST_GAP)

    def begin(self, job: Job, rows: Rows) -> None:
        """As many of the rows as there is room for."""
        if rows is NOBODY:
            self._done(job, None)
            return
        room = 0 if self._is_closed else self._config.max_waiting_rows - self._waiting_rows
        self.missed(job, rows[room:])
        rows = rows[:room]
        if not len(rows):
            self._done(job, None)
            return
        self._waiting_rows += len(rows)
        self._gather(_drawn(job, rows))

    def _gather(self, drawn: Drawn) -> None:
        served = drawn.job.served
        if served.has_variable_rows:  # they may not fit together
            self._start([drawn])
            return
        gathered = self._gathered.setdefault(served, [])
        gathered.append(drawn)
        if sum(len(one.rows) for one in gathered) >= self._config.gather_rows:
            self._flush(served)
        elif len(gathered) == 1:
            asyncio.get_running_loop().call_later(self._config.gather_s, self._flush, served)

    def missed(self, job: Job, rows: Rows) -> None:
        self._statistics.audited(job, "missing", len(rows))

    def _flush(self, served: ServedCascade) -> None:
        if drawn := self._gathered.pop(served, None):
            self._start(drawn)

    def _start(self, drawn: list[Drawn]) -> None:
        task = asyncio.create_task(self._audited(drawn))
        self._tasks.add(task)
        task.add_done_callback(partial(self._over, drawn))

    async def _audited(self, drawn: list[Drawn]) -> Answer | None:
        """What all members together say; None where they were not asked in time."""
        shadow = _shadow(drawn)
        try:
            async with asyncio.timeout(self._config.max_wait_s):
                await self._run(shadow)
        except (RequestError, TimeoutError):
            return None
        return shadow.answer

    def _over(self, drawn: list[Drawn], task: "asyncio.Task[Answer | None]") -> None:
        self._tasks.discard(task)
        answer, start = None if task.cancelled() else task.result(), 0
        for one in drawn:
            self._waiting_rows -= len(one.rows)
            self._conclude(one.job, one.rows, answer, slice(start, start + len(one.rows)))
            start += len(one.rows)

    def _conclude(self, job: Job, rows: Rows, answer: Answer | None, part: slice) -> None:
        """Rows for which a member gave nothing are missing, and no others."""
        if answer is None:
            self.missed(job, rows)
            self._done(job, None)
            return
        is_whole = answer.exit_reason[part] == ExitReason.LAST
        labels, asked = answer.label[part][is_whole], rows[is_whole]
        num_agreed = int(np.count_nonzero(labels == job.final_answer.label[asked]))
        self._statistics.audited(job, "agreed", num_agreed)
        self._statistics.audited(job, "disagreed", len(asked) - num_agreed)
        self.missed(job, rows[~is_whole])
        self._done(job, Audit(asked, labels) if len(asked) else None)

    async def close(self) -> None:
        """Those that are not through are missing, and so are all that come."""
        self._is_closed = True
        for served in list(self._gathered):
            self._flush(served)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _drawn(job: Job, rows: Rows) -> Drawn:
    """With arrays of its own, so that those of the other rows need not be held."""
    inputs = {name: array[rows] for name, array in job.inputs.items()}
    outputs = [None if kept is None else kept[rows] for kept in job.outputs]
    return Drawn(job, rows, inputs, _stages_through(job, rows), outputs)


def _stages_through(job: Job, rows: Rows) -> Rows:
    """None where a member was lost; the last one is asked again, for it is what concludes."""
    stages = job.final_answer.exit_stage[rows].astype(np.intp)
    if job.lost is not None:
        stages[job.lost[rows].any(axis=1)] = 0
    return np.minimum(stages, job.served.num_stages - 1)


def _shadow(drawn: list[Drawn]) -> Job:
    """A job of all members' own, of which those that the rows have been through need not be asked again."""
    served = drawn[0].job.served
    inputs = {name: np.concatenate([one.inputs[name] for one in drawn]) for name in drawn[0].inputs}
    terms = Terms(arrived_s=time.monotonic(), number=0, level=BACKGROUND_LEVEL)
    job = Job(served, "audit", served.whole_ensemble, None, inputs, terms)
    stages = np.concatenate([one.stages for one in drawn])
    job.begins = [(int(stage), np.flatnonzero(stages == stage)) for stage in np.unique(stages)]
    for slot in range(served.stage_slots[stages.max()].start):
        job.outputs[slot] = _known(drawn, slot, served.num_classes)
    return job


def _known(drawn: list[Drawn], slot: int, num_classes: int) -> NDArray[np.floating]:
    """What a member has made of the rows, `(rows, classes)`; any numbers for those that it did not see."""
    kept = [one.outputs[slot] for one in drawn]
    dtype = next((outputs.dtype for outputs in kept if outputs is not None), np.float32)
    return np.concatenate(
        [
            np.empty((len(one.rows), num_classes), dtype) if outputs is None else outputs
            for one, outputs in zip(drawn, kept, strict=True)
        ]
    )
