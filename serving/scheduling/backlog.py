"""How much work is under way, and whether a new request can be served in time. Pure.

Work is counted in seconds of one worker, over all stages that the rows may still see. A request is taken
or refused here, at its arrival; afterwards nothing drops it.
"""

import math
from typing import TypeVar

from serving.config import SchedulerConfig
from serving.errors import Overloaded, TimedOut
from serving.jobs import PATIENCE_S, Batch, Job, Work
from serving.scheduling.flows import Flow
from serving.served import ServedCascade

Key = TypeVar("Key")
PRUDENCE = 2.0
"""A deadline must leave so many times the wait that is expected: rows that go on wait again, and one that
comes too late has cost its work, where a queue that is shorter costs nothing. `benchmarks/scheduling.py`
chose it."""

LAG_WEIGHT = 0.1
"""Of a batch in the mean of how late batches are heard of."""


class Running:
    """A batch in a worker's hands: how long it should take, and the share of each flow in it; in `over` that
    of jobs that have ended, whose rows are reckoned with no more but still run."""

    def __init__(self, batch: Batch, now_s: float) -> None:
        self.expected_s = batch.member.curve.seconds(batch.num_rows)
        self._ends_s = now_s + self.expected_s
        self._jobs: dict[Job, float] = {}
        self.shares: dict[Flow, float] = {}
        self.over: dict[Flow, float] = {}
        for work in batch.works:
            share = len(work.rows) / batch.num_rows
            _add(self._jobs, work.job, share)
            _add(self.shares, work.job.flow, share)

    def rest_s(self, now_s: float) -> float:
        return max(0.0, self._ends_s - now_s)

    def end(self, job: Job) -> None:
        share = self._jobs.pop(job, 0.0)
        if share:
            self.shares[job.flow] -= share
            _add(self.over, job.flow, share)


def _add(sums: dict[Key, float], key: Key, more: float) -> None:
    sums[key] = sums.get(key, 0.0) + more


def _goes_before(other: Flow, flow: Flow) -> bool:
    """In its own lane what is as urgent or more; lanes take turns, but the server's own work waits."""
    return other.level <= flow.level if other.lane == flow.lane else not other.is_background


class Backlog:
    """`take` a job or refuse it; then `forwarded`, `exited` and `drop`, as its rows go on, leave, end."""

    def __init__(self, config: SchedulerConfig) -> None:
        self._config = config
        self._flows: set[Flow] = set()
        self._num_bytes = 0
        self._running: dict[Batch, Running] = {}
        self._lag_s = 0.0

    def take(self, job: Job, now_s: float) -> None:
        """Overloaded where its rows would wait too long, or would not be through by their deadline for those
        before them; TimedOut where they would not be even so.

        A cascade with nothing under way takes any deadline that is not over: what is known of its members may
        no longer hold, and only work shows that.
        """
        if now_s >= job.last_call_s:
            raise TimedOut("the deadline passed before the request was here")
        self._price_new(job)
        wait_s = self._wait_s(job.flow, now_s)
        self._check_bounds(job, wait_s)
        if job.last_call_s < math.inf and any(flow.lane == job.flow.lane for flow in self._flows):
            self._check_deadline(job, wait_s, job.last_call_s - now_s)
        self._admit(job)

    def enter(self, job: Job) -> None:
        """Take a job whatever waits."""
        self._price_new(job)
        self._admit(job)

    def _price_new(self, job: Job) -> None:
        """What is under way has its price, which follows every batch."""
        if not job.flow.num_rows:
            self._price(job)

    def _admit(self, job: Job) -> None:
        self._num_bytes += job.num_bytes
        for stage, rows in job.begins:
            self._enter(job, stage, len(rows))

    def pressure(self, job: Job, now_s: float) -> float:
        """The wait that a new job must reckon with, as a share of the time that it allows."""
        if math.isinf(job.last_call_s):
            return self._wait_s(job.flow, now_s) / min(PATIENCE_S, self._config.max_queue_s)
        allowed_s = job.last_call_s - now_s
        if self._own_s(job) >= allowed_s:
            return 0.0  # nobody's wait is to blame
        return PRUDENCE * self._wait_s(job.flow, now_s) / allowed_s

    def rows_per_s(self, served: ServedCascade, flow: Flow) -> float:
        """What the workers can serve if all rows travel so."""
        flow.price(served.stage_s())
        return self._config.num_workers / max(flow.rest_s[0], 1e-9)

    def heard(self, lag_s: float) -> None:
        """So long after it had ended a batch was heard of: the event loop was busy with other things. Rows
        meet that at every stage, and once more on their way out."""
        self._lag_s += LAG_WEIGHT * (lag_s - self._lag_s)

    def _check_bounds(self, job: Job, wait_s: float) -> None:
        limit_s, num_bytes = self._config.max_queue_s, self._num_bytes + job.num_bytes
        if num_bytes > self._config.max_queue_bytes:
            raise Overloaded(f"{num_bytes} bytes of input would be queued", wait_s)
        if wait_s > limit_s:
            raise Overloaded(f"{wait_s:.3g} s of work are queued; at most {limit_s:g} s may be", wait_s)

    def _check_deadline(self, job: Job, wait_s: float, allowed_s: float) -> None:
        own_s = self._own_s(job)
        if own_s > allowed_s:
            raise TimedOut(f"the answer takes {own_s:.3g} s; the request allows {allowed_s:.3g} s")
        whole_s = PRUDENCE * wait_s + own_s
        if whole_s > allowed_s:
            raise Overloaded(
                f"the answer may take {whole_s:.3g} s; the request allows {allowed_s:.3g} s", wait_s
            )

    def _own_s(self, job: Job) -> float:
        """Of a row that goes through all stages that it may see, in batches with those that are there now."""
        flow, latency_s = job.flow, self._lag_s * (job.flow.depth + 1)
        for stage in range(flow.depth):
            rows = flow.rows[stage] + job.num_rows
            curves = [job.served.slots[slot].curve for slot in job.served.stage_slots[stage]]
            latency_s += max(curve.batch_s(rows) for curve in curves)
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
        if not any(job.at):
            return
        for stage, num_rows in enumerate(job.at):
            if num_rows:
                self._leave(job, stage, num_rows)
        for run in self._running.values():
            run.end(job)

    def started(self, batch: Batch, now_s: float) -> None:
        self._running[batch] = Running(batch, now_s)

    def finished(self, batch: Batch) -> None:
        """Prices follow what the member has shown, and what its rows have turned out to need."""
        del self._running[batch]
        for job in {work.job.flow: work.job for work in batch.works}.values():
            self._price(job)

    def _price(self, job: Job) -> None:
        job.flow.price(job.served.stage_s())

    def _wait_s(self, flow: Flow, now_s: float) -> float:
        """Until new rows of this flow would get their turn: the work ahead of them, and what is left of the
        batches that run. Lanes take turns, so a lane waits at most for its own work times the lanes that have
        some; priorities count within it."""
        ahead = {each for each in self._flows if _goes_before(each, flow)}
        work_s = {each: each.work_s for each in ahead}
        for run in self._running.values():
            rest_s = run.rest_s(now_s)
            for each, share in run.shares.items():
                # What is done is still in their work; of others in the batch the rest is waited for.
                _add(work_s, each, share * (rest_s - run.expected_s if each in ahead else rest_s))
            for each, share in run.over.items():
                _add(work_s, each, share * rest_s)
        own = sum(seconds for each, seconds in work_s.items() if each.lane == flow.lane)
        lanes = {flow.lane, *(each.lane for each in work_s)}
        return max(0.0, min(sum(work_s.values()), own * len(lanes))) / self._config.num_workers
