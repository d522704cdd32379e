"""Drives the scheduler: jobs in from the edges, batches out to worker threads, answers back.

The scheduler and all counters live on the event loop's thread. A worker gathers, runs and gates a
batch, and hands the outcome over with one wake-up of the loop.
"""

import asyncio
import logging
import math
import queue
import threading
import time
from dataclasses import dataclass

from serving.admission import admit
from serving.config import Limits, SchedulerConfig
from serving.errors import MemberFailed, RequestError, Unavailable
from serving.gate import Gate, Gated, gather
from serving.jobs import Batch, Job
from serving.messages import InferRequest
from serving.registry import Registry, ServedCascade
from serving.scheduler import Scheduler
from serving.statistics import Statistics

log = logging.getLogger("exitgate")
LOG_EVERY_S = 1.0
JOIN_S = 1.0


@dataclass(slots=True)
class Outcome:
    """What became of a batch, and how long running and gating it took."""

    batch: Batch
    gated: Gated
    started_s: float
    compute_s: float


class Engine:
    """Phases: `start`, any number of `infer`, `drain`, `stop`."""

    def __init__(self, registry: Registry, config: SchedulerConfig, limits: Limits) -> None:
        self.registry = registry
        self.limits = limits
        self.statistics = Statistics()
        self.is_accepting = False
        self._scheduler = Scheduler(config)
        self._gate = Gate()
        self._num_workers = config.num_workers
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._active: set[Job] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._admitted = 0
        self._logged_s = -math.inf

    @property
    def queued_rows(self) -> int:
        return self._scheduler.queued_rows

    @property
    def active_requests(self) -> int:
        return len(self._active)

    def start(self) -> None:
        """Start the workers; must be called on the event loop that will call `infer`."""
        self._loop = asyncio.get_running_loop()
        for number in range(self._num_workers):
            worker = threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            worker.start()
            self._workers.append(worker)
        self.is_accepting = True

    async def infer(self, request: InferRequest) -> Job:
        """Run a request to its end; the job's answer is complete. Raises a RequestError."""
        started_s = time.monotonic()
        served = self.registry.cascade(request.model, request.version)
        try:
            job = self._admit(request, served, started_s)
            await self._finished(job)
        except (RequestError, asyncio.CancelledError):
            self.statistics.request_failed(served.name, time.monotonic() - started_s)
            raise
        self.statistics.request_done(job, time.monotonic() - started_s)
        return job

    def _admit(self, request: InferRequest, served: ServedCascade, now_s: float) -> Job:
        if not self.is_accepting:
            raise Unavailable("the server is stopping")
        self._admitted += 1
        return admit(request, served, self.limits, (now_s, self._admitted))

    async def _finished(self, job: Job) -> None:
        job.done = self._loop.create_future()
        self._active.add(job)
        self._idle.clear()
        self._scheduler.submit(job, time.monotonic())
        self._dispatch()
        try:
            await job.done
        finally:
            self._active.discard(job)
            if not self._active:
                self._idle.set()

    def _dispatch(self) -> None:
        while (batch := self._scheduler.next_batch(time.monotonic())) is not None:
            self._batches.put(batch)

    def _work(self) -> None:
        """A worker thread's life."""
        while (batch := self._batches.get()) is not None:
            outcome = self._run(batch)
            try:
                self._loop.call_soon_threadsafe(self._settle, outcome)
            except RuntimeError:  # the loop is closed: nobody waits for this batch any more
                return

    def _run(self, batch: Batch) -> Outcome:
        started_s = time.monotonic()
        try:
            gated = self._through(batch)
        except Exception as error:  # a bug, and still the requests of the batch must be told
            log.exception("a batch for %s failed", batch.member)
            text = f"internal error in a batch for member {batch.member!r}: {type(error).__name__}"
            gated = Gated(failed=[(work.job, MemberFailed(text)) for work in batch.works])
        return Outcome(batch, gated, started_s, time.monotonic() - started_s)

    def _through(self, batch: Batch) -> Gated:
        """Run and gate. Where a mixed batch fails, each request's rows are tried alone, so that one whose
        content the member cannot bear harms no neighbour."""
        try:
            outputs = self.registry.members[batch.member].run(gather(batch))
        except MemberFailed as error:
            if len(batch.works) == 1:
                return Gated(failed=[(batch.works[0].job, error)])
            gated = Gated()
            for work in batch.works:
                gated.add(self._through(Batch(batch.member, [work], batch.formed_s)))
            return gated
        return self._gate.pass_through(batch, outputs)

    def _settle(self, outcome: Outcome) -> None:
        """Back on the loop: free the worker, send rows on, answer the jobs that are through."""
        self._scheduler.finish(outcome.batch)
        self.statistics.batch_done(outcome.batch, outcome.started_s, outcome.compute_s)
        self._fail(outcome)
        self._advance(outcome.gated)
        self._dispatch()

    def _advance(self, gated: Gated) -> None:
        self._scheduler.forward(gated.forwarded, time.monotonic())
        for exits in gated.exits:
            self.statistics.rows_left(exits)
            job = exits.job
            job.remaining -= exits.num_rows
            if job.remaining == 0 and job.done is not None and not job.done.done():
                job.done.set_result(None)

    def _fail(self, outcome: Outcome) -> None:
        if not outcome.gated.failed:
            return
        self.statistics.batch_failed(outcome.batch, outcome.compute_s)
        if outcome.started_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = outcome.started_s
            log.error("%s (%d requests)", outcome.gated.failed[0][1], len(outcome.gated.failed))
        for job, error in outcome.gated.failed:
            if job.done is not None and not job.done.done():
                job.done.set_exception(error)

    def abandon(self) -> None:
        """Tell every request under way that it gets no answer."""
        for job in list(self._active):
            if job.done is not None and not job.done.done():
                job.done.set_exception(Unavailable("the server stopped before the answer was there"))

    async def drain(self) -> None:
        """Take no new requests, and wait until those under way have their answers."""
        self.is_accepting = False
        await self._idle.wait()

    def stop(self) -> None:
        """End the workers. One that hangs in its member is left behind; its thread is a daemon's."""
        self.is_accepting = False
        for _ in self._workers:
            self._batches.put(None)
        for worker in self._workers:
            worker.join(timeout=JOIN_S)
