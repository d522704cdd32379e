"""How much work is under way, and whether a new request can be served in time. Pure.

Work is counted in seconds of one worker, over all stages that the rows may still see. A request is taken
or refused here, at its arrival; afterwards nothing drops it.
"""

import math
from dataclasses import dataclass

from serving.config import SchedulerConfig
from serving.errors import Overloaded, TimedOut
from serving.jobs import Batch, Job, Work
from serving.scheduling.flows import Flow

PRUDENCE = 2.0
"""A deadline must leave so many times the wait that is expected: rows that go on wait again, and one that
comes too late has cost its work, where a queue that is shorter costs nothing. `benchmarks/scheduling.py`
chose it."""


@dataclass(slots=True)
class Running:
    """A batch in a worker's hands, and how long it should take."""

    started_s: float
    expected_s: float


class Backlog:
    """`take` a job or refuse it; then `forwarded`, `exited` and `drop`, as its rows go on, leave, end."""

    def __init__(self, config: SchedulerConfig) -> None:
        self._config = config
        self._flows: set[Flow] = set()
        self._num_bytes = 0
        self._running: dict[Batch, Running] = {}

    def take(self, job: Job, now_s: float) -> None:
        """Overloaded where its rows would wait too long, or could not be through by their deadline.

        A server with nothing to do takes anything: what it has learnt may no longer hold, and only work shows
        that. TimedOut where the deadline is over already.
        """
        if now_s >= job.deadline_s:
            raise TimedOut("the deadline passed before the request was here")
        if not job.flow.num_rows:
            self._price(job)
        if self._flows:
            self._check(job, now_s)
        self._num_bytes += job.num_bytes
        self._enter(job, 0, job.num_rows)

    def _check(self, job: Job, now_s: float) -> None:
        wait_s = self._wait_s(job.flow, now_s)
        limit_s, num_bytes = self._config.max_queue_s, self._num_bytes + job.num_bytes
        if num_bytes > self._config.max_queue_bytes:
            raise Overloaded(f"{num_bytes} bytes of input would be queued", wait_s)
        if wait_s > limit_s:
            raise Overloaded(f"{wait_s:.3g} s of work are queued; at most {limit_s:g} s may be", wait_s)
        if job.deadline_s == math.inf:
            return
        whole_s = PRUDENCE * wait_s + self._own_s(job)
        if now_s + whole_s > job.deadline_s:
            allowed_s = max(0.0, job.deadline_s - now_s)
            raise Overloaded(
                f"the answer may take {whole_s:.3g} s; the request allows {allowed_s:.3g} s", wait_s
            )

    def _own_s(self, job: Job) -> float:
        """Of a row that goes through all stages that it may see, in batches with those that are there now."""
        flow, latency_s = job.flow, 0.0
        for stage, slots in enumerate(job.served.stage_slots):
            rows = flow.rows[stage] + job.num_rows
            latency_s += max(job.served.slots[slot].curve.batch_s(rows) for slot in slots)
            if not flow.goes_on(stage, job.max_stages):
                break
        return max(latency_s, job.num_rows * flow.rest_s[0] / self._config.num_workers)

    def _enter(self, job: Job, stage: int, num_rows: int) -> None:
        job.at[stage] += num_rows
        job.flow.enter(stage, num_rows)
        self._flows.add(job.flow)

    def _leave(self, job: Job, stage: int, num_rows: int) -> None:
        job.at[stage] -= num_rows
        job.flow.leave(stage, num_rows)
        if not job.flow.num_rows:
            self._flows.discard(job.flow)

    def forwarded(self, work: Work) -> None:
        """Rows of `work` go on from its stage."""
        if not work.job.is_settled:
            self._leave(work.job, work.stage, len(work.rows))
            self._enter(work.job, work.stage + 1, len(work.rows))

    def exited(self, job: Job, stage: int, num_rows: int) -> None:
        if not job.is_settled:
            self._leave(job, stage, num_rows)

    def drop(self, job: Job) -> None:
        """The job that was taken is over, whatever became of its rows."""
        self._num_bytes -= job.num_bytes
        for stage, num_rows in enumerate(job.at):
            if num_rows:
                self._leave(job, stage, num_rows)

    def started(self, batch: Batch, now_s: float) -> None:
        self._running[batch] = Running(now_s, batch.member.curve.seconds(batch.num_rows))

    def finished(self, batch: Batch) -> None:
        """Prices follow what the member has shown, and what its rows have turned out to need."""
        del self._running[batch]
        for job in {id(work.job.flow): work.job for work in batch.works}.values():
            self._price(job)

    def _price(self, job: Job) -> None:
        job.flow.price(job.served.stage_s(), job.max_stages)

    def _wait_s(self, flow: Flow, now_s: float) -> float:
        """Until new rows of this flow would get their turn: what is queued ahead of them, less what is done
        of it. Lanes take turns, so a lane waits at most for its own work times the lanes that have some."""
        own = total = 0.0
        lanes = {flow.lane}
        for each in self._flows:
            if each.level <= flow.level:
                lanes.add(each.lane)
                work = each.work_s
                total += work
                own += work if each.lane == flow.lane else 0.0
        done = sum(min(now_s - run.started_s, run.expected_s) for run in self._running.values())
        waits_for = min(total - done, own * len(lanes))
        return max(0.0, waits_for) / self._config.num_workers
