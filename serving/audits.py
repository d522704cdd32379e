"""Audits: some rows are run through all members too, to tell how often the cascade agrees with them.

Rows are drawn by a coin when their request is taken, not when there happens to be time: quiet hours are not
like busy ones. They are run at the lowest priority once the request has its answer. Those that are not, for
want of time or because a member failed, are counted as missing, since they are not like the others either.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.config import AuditConfig
from serving.errors import RequestError
from serving.jobs import AUDIT_LEVEL, Job, Rows, Terms
from serving.served import ServedCascade
from serving.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Audit:
    """What all members together say of some of a request's rows."""

    rows: Rows
    label: NDArray[np.int64]


class Drawn(NamedTuple):
    job: Job
    rows: Rows


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
        self._tasks: set[asyncio.Task[NDArray[np.int64] | None]] = set()
        self._gathered: dict[ServedCascade, list[Drawn]] = {}
        self._waiting_rows = 0

    def draw(self, job: Job) -> Rows:
        """The rows to be audited; those of a cascade of one stage have nobody to be compared with."""
        if not self._config.share or job.served.num_stages == 1:
            return NOBODY
        return np.flatnonzero(self._coin.random(job.num_rows) < self._config.share)

    def begin(self, job: Job, rows: Rows) -> None:
        if not len(rows) or self._waiting_rows + len(rows) > self._config.max_waiting_rows:
            self.missed(job, rows)
            self._done(job, None)
            return
        self._waiting_rows += len(rows)
        served = job.served
        if served.has_variable_rows:  # they may not fit together
            self._start([Drawn(job, rows)])
            return
        gathered = self._gathered.setdefault(served, [])
        gathered.append(Drawn(job, rows))
        if sum(len(drawn.rows) for drawn in gathered) >= self._config.gather_rows:
            self._flush(served)
        elif len(gathered) == 1:
            asyncio.get_running_loop().call_later(self._config.gather_s, self._flush, served)

    def missed(self, job: Job, rows: Rows) -> None:
        self._statistics.audited(job, "missing", len(rows))

    def _flush(self, served: ServedCascade) -> None:
        if drawn := self._gathered.pop(served, None):
            self._start(drawn)

    def _start(self, drawn: list[Drawn]) -> None:
        task = asyncio.create_task(self._labels(drawn))
        self._tasks.add(task)
        task.add_done_callback(partial(self._over, drawn))

    async def _labels(self, drawn: list[Drawn]) -> NDArray[np.int64] | None:
        """What all members together say; None where one of them did not take part."""
        shadow = _shadow(drawn)
        try:
            async with asyncio.timeout(self._config.max_wait_s):
                await self._run(shadow)
        except (RequestError, TimeoutError):
            return None
        return None if shadow.is_degraded else shadow.answer.label

    def _over(self, drawn: list[Drawn], task: "asyncio.Task[NDArray[np.int64] | None]") -> None:
        self._tasks.discard(task)
        labels, start = None if task.cancelled() else task.result(), 0
        for job, rows in drawn:
            own = None if labels is None else labels[start : start + len(rows)]
            start += len(rows)
            self._conclude(job, rows, own)

    def _conclude(self, job: Job, rows: Rows, labels: NDArray[np.int64] | None) -> None:
        self._waiting_rows -= len(rows)
        if labels is None:
            self.missed(job, rows)
            self._done(job, None)
            return
        num_agreed = int(np.count_nonzero(labels == job.final_answer.label[rows]))
        self._statistics.audited(job, "agreed", num_agreed)
        self._statistics.audited(job, "disagreed", len(rows) - num_agreed)
        self._done(job, Audit(rows, labels))

    async def close(self) -> None:
        """Those that are not through are missing."""
        for served in list(self._gathered):
            self._flush(served)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _shadow(drawn: list[Drawn]) -> Job:
    served = drawn[0].job.served
    inputs = {
        name: np.concatenate([job.inputs[name][rows] for job, rows in drawn]) for name in drawn[0].job.inputs
    }
    terms = Terms(arrived_s=time.monotonic(), number=0, level=AUDIT_LEVEL)
    return Job(served, "audit", served.whole_ensemble, None, inputs, terms)
