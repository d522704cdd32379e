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
from collections.abc import Callable
from dataclasses import dataclass

from serving.admission import admit
from serving.config import Limits, SchedulerConfig
from serving.cut_short import cut_short
from serving.errors import (
    InvalidRequest,
    MemberFailed,
    Overloaded,
    RequestError,
    StartupError,
    TimedOut,
    Unavailable,
    Unsupported,
)
from serving.gate import Gate, Gated, gather
from serving.jobs import LEFT, Batch, Job, Spent
from serving.loading import Loader
from serving.messages import InferRequest
from serving.registry import Registry
from serving.scheduling.backlog import Backlog
from serving.scheduling.scheduler import Scheduler
from serving.served import ServedCascade
from serving.statistics import Outcome, Statistics

log = logging.getLogger("exitgate")
LOG_EVERY_S = 1.0
JOIN_S = 1.0


@dataclass(slots=True)
class Ran:
    """What became of a batch, when it began and what it took."""

    batch: Batch
    gated: Gated
    started_s: float
    spent: Spent


class Engine:
    """Phases: `start`, any number of `infer`, `drain`, `stop`."""

    def __init__(
        self, registry: Registry, config: SchedulerConfig, limits: Limits, loader: Loader | None = None
    ) -> None:
        self.registry = registry
        self.limits = limits
        self.statistics = Statistics()
        self.is_accepting = False
        self._loader = loader
        self._loading = asyncio.Lock()
        self._scheduler = Scheduler(config)
        self._backlog = Backlog(config)
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
        served = self.registry.model(request.model, request.version)
        try:
            job = self._admit(request, served, started_s)
            await self._finished(job, started_s)
        except (RequestError, asyncio.CancelledError) as error:
            self.statistics.request_failed(served.name, _outcome(error), time.monotonic() - started_s)
            raise
        self.statistics.request_done(job, time.monotonic() - started_s)
        return job

    def _admit(self, request: InferRequest, served: ServedCascade, now_s: float) -> Job:
        if not self.is_accepting:
            raise Unavailable("the server is stopping")
        self._admitted += 1
        return admit(request, served, self.limits, now_s, self._admitted)

    async def _finished(self, job: Job, now_s: float) -> None:
        self._backlog.take(job, now_s)
        job.done = self._loop.create_future()
        self._active.add(job)
        self._idle.clear()
        last_call = self._last_call(job)
        self._scheduler.submit(job, now_s)
        self._dispatch()
        try:
            await job.done
        finally:
            if last_call is not None:
                last_call.cancel()
            if job.remaining or job.cut_answer is not None:
                self._scheduler.discard(job)
            self._backlog.drop(job)
            self._active.discard(job)
            if not self._active:
                self._idle.set()

    def _last_call(self, job: Job) -> asyncio.TimerHandle | None:
        if job.depth is None:
            return None
        wait_s = job.last_call_s - time.monotonic()
        return self._loop.call_later(max(0.0, wait_s), self._expire, job)

    def _expire(self, job: Job) -> None:
        """The deadline is near: answer with what the rows have come to, if each has come to something."""
        if job.is_settled:
            return
        if job.is_strict or job.depth is None or (job.depth == 0).any():
            job.settle(TimedOut("the deadline passed before the answer was there"))
            return
        for exits in cut_short(job, job.depth):
            self.statistics.rows_left(exits)
        job.settle()

    def _dispatch(self) -> None:
        now_s = time.monotonic()
        while (batch := self._scheduler.next_batch(now_s)) is not None:
            self._backlog.started(batch, now_s)
            self._batches.put(batch)

    def _work(self) -> None:
        """A worker thread's life."""
        while (batch := self._batches.get()) is not None:
            ran = self._run(batch)
            try:
                self._loop.call_soon_threadsafe(self._settle, ran)
            except RuntimeError:  # the loop is closed: nobody waits for this batch any more
                return

    def _run(self, batch: Batch) -> Ran:
        started_s, spent = time.monotonic(), Spent()
        try:
            gated = self._through(batch, spent)
        except Exception as error:  # a bug, and still the requests of the batch must be told
            log.exception("a batch for %s failed", batch.member.key)
            text = f"internal error in a batch for member {batch.member.key!r}: {type(error).__name__}"
            gated = Gated(failed=[(work.job, MemberFailed(text)) for work in batch.works])
        return Ran(batch, gated, started_s, spent)

    def _through(self, batch: Batch, spent: Spent) -> Gated:
        """Run and gate. A batch that fails is halved until what the member cannot bear is one request's
        alone, and harms no neighbour."""
        began_s = time.monotonic()
        inputs = gather(batch)
        gathered_s = time.monotonic()
        spent.input_s += gathered_s - began_s
        try:
            outputs = batch.member.run(inputs)
        except MemberFailed as error:
            spent.infer_s += time.monotonic() - gathered_s
            if len(batch.works) == 1:
                return Gated(failed=[(batch.works[0].job, error)])
            middle, gated = len(batch.works) // 2, Gated()
            for half in (batch.works[:middle], batch.works[middle:]):
                gated.add(self._through(Batch(batch.member, half), spent))
            return gated
        ran_s = time.monotonic()
        gated = self._gate.pass_through(batch, outputs)
        spent.infer_s += ran_s - gathered_s
        spent.output_s += time.monotonic() - ran_s
        return gated

    def _settle(self, ran: Ran) -> None:
        """Back on the loop: free the worker, send rows on, answer the jobs that are through."""
        batch = ran.batch
        self._scheduler.finish(batch)
        self.statistics.batch_done(batch, ran.started_s, ran.spent, [job for job, _ in ran.gated.failed])
        if not ran.gated.failed:
            batch.member.curve.observe(batch.num_rows, ran.spent.compute_s)
        self._fail(ran)
        self._advance(ran.gated)
        self._backlog.finished(batch)
        self._dispatch()

    def _advance(self, gated: Gated) -> None:
        for work in gated.forwarded:
            work.job.flow.decided(work.stage, len(work.rows), len(work.rows))
            self._backlog.forwarded(work)
            if work.job.depth is not None:
                work.job.depth[work.rows] = work.stage + 1
        self._scheduler.forward(gated.forwarded, time.monotonic())
        for exits in gated.exits:
            job = exits.job
            job.flow.decided(exits.stage, len(exits.rows), 0)
            self._backlog.exited(job, exits.stage, len(exits.rows))
            if job.is_settled:
                continue
            self.statistics.rows_left(exits)
            if job.depth is not None:
                job.depth[exits.rows] = LEFT
            job.remaining -= len(exits.rows)
            if job.remaining == 0:
                job.settle()

    def _fail(self, ran: Ran) -> None:
        if not ran.gated.failed:
            return
        if ran.started_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = ran.started_s
            log.error("%s (%d requests)", ran.gated.failed[0][1], len(ran.gated.failed))
        for job, error in ran.gated.failed:
            job.settle(error)

    async def load(self, name: str) -> None:
        """Serve a cascade as its file is now; requests under way keep the version that they came for.

        NotFound where the repository has none of that name; InvalidRequest where it cannot be loaded, and
        what was served before stays.
        """
        await self._change(lambda loader, registry: loader.load(name, registry))
        log.info("loaded %s", name)

    async def unload(self, name: str) -> None:
        """Serve a cascade, and the members that no other has, no longer. NotFound where it is not served."""

        def without(_: Loader, registry: Registry) -> Registry:
            if name not in registry.cascades:
                registry.model(name)
                raise InvalidRequest(f"{name[:80]!r} is a member; only cascades are loaded and unloaded")
            return registry.without_cascade(name)

        await self._change(without)
        log.info("unloaded %s", name)

    async def _change(self, change: Callable[[Loader, Registry], Registry]) -> None:
        if self._loader is None:
            raise Unsupported("this server cannot load models")
        async with self._loading:
            try:
                self.registry = await asyncio.to_thread(change, self._loader, self.registry)
            except StartupError as error:  # it names paths, which are no client's business
                log.error("not loaded: %s", error)
                raise InvalidRequest("the cascade cannot be loaded; the server's log says why") from None

    def abandon(self) -> None:
        """Tell every request under way that it gets no answer."""
        for job in list(self._active):
            job.settle(Unavailable("the server stopped before the answer was there"))

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


def _outcome(error: RequestError | asyncio.CancelledError) -> Outcome:
    if isinstance(error, Overloaded):
        return "shed"
    if isinstance(error, TimedOut):
        return "timed_out"
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
