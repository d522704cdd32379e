"""Drives the scheduler: jobs in from the edges, batches out to worker threads, answers back.

The scheduler and all counters live on the event loop's thread. A worker's thread gathers, runs and gates a
batch, and hands the outcome over with one wake-up of the loop. Rows that lose a member go on without it.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial

from cascade.cascade_file import Cascade
from serving.admission import admit
from serving.audits import Audit, Auditor, Done
from serving.breakers import Breakers
from serving.config import AuditConfig, BreakerConfig, Limits, SchedulerConfig
from serving.cut_short import cut_short
from serving.errors import (
    InvalidRequest,
    MemberDown,
    MemberFailed,
    Overloaded,
    RequestError,
    StartupError,
    TimedOut,
    Unavailable,
    Unsupported,
)
from serving.exits import Exits
from serving.gate import Gate, Gated
from serving.gears import GearShift
from serving.jobs import LEFT, Job, Work
from serving.loading import Loader
from serving.members import Member
from serving.messages import InferRequest
from serving.registry import Registry
from serving.running import Ran, run_batch
from serving.scheduling.backlog import Backlog
from serving.scheduling.scheduler import Scheduler
from serving.served import ServedCascade
from serving.statistics import Outcome, Statistics
from serving.tracing import Tracer
from serving.workers import Workers

log = logging.getLogger("exitgate")
LOG_EVERY_S = 1.0
DEFAULT_BREAKER = BreakerConfig()
NO_AUDITS = AuditConfig()


def log_nothing(job: Job, audit: Audit | None) -> None:
    """Where there is no decision log."""


class Engine:
    """Phases: `start`, any number of `infer`, `drain`, `stop`."""

    def __init__(
        self,
        registry: Registry,
        config: SchedulerConfig,
        limits: Limits,
        loader: Loader | None = None,
        breaker: BreakerConfig = DEFAULT_BREAKER,
        audit: AuditConfig = NO_AUDITS,
        decided: Done = log_nothing,
        tracer: Tracer | None = None,
    ) -> None:
        """`decided` is told of every answered request, once its audit is over."""
        self.registry = registry
        self.limits = limits
        self.statistics = Statistics()
        self.breakers = Breakers(breaker, self._left_out)
        self.is_accepting = False
        self._loader = loader
        self._loading = asyncio.Lock()
        self._scheduler = Scheduler(config, admits=self.breakers.admits)
        self._backlog = Backlog(config)
        self._gears = GearShift(self._backlog, self.statistics)
        self._gate = Gate()
        self._auditor = Auditor(audit, self._run_audit, self.statistics, decided)
        self._tracer = tracer
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
        """Take requests; must be called on the event loop that will call `infer`."""
        self._loop = asyncio.get_running_loop()
        self._workers = Workers(partial(run_batch, gate=self._gate), self._settle)
        self.is_accepting = True

    async def infer(self, request: InferRequest) -> Job:
        """Run a request to its end; the job's answer is complete. Raises a RequestError."""
        started_s = time.monotonic()
        served = self.registry.model(request.model, request.version)
        traced = None if self._tracer is None else self._tracer.begin(request, served, started_s)
        job: Job | None = None
        try:
            job = self._admit(request, served, started_s)
            job.trace = None if traced is None else traced.trace
            await self._answered(job, started_s)
        except (RequestError, asyncio.CancelledError) as error:
            self.statistics.request_failed(served.name, _outcome(error), time.monotonic() - started_s)
            if traced is not None:
                traced.end(job, error)
            raise
        self.statistics.request_done(job, time.monotonic() - started_s)
        if traced is not None:
            traced.end(job)
        return job

    def _admit(self, request: InferRequest, served: ServedCascade, now_s: float) -> Job:
        """Taken, with its work reckoned with; or refused."""
        if not self.is_accepting:
            raise Unavailable("the server is stopping")
        self._admitted += 1
        job = admit(request, served, self.limits, now_s, self._admitted)
        self._gears.take(job, now_s)
        return job

    async def _answered(self, job: Job, now_s: float) -> None:
        drawn = self._auditor.draw(job)
        self._active.add(job)
        self._idle.clear()
        try:
            await self._run(job, now_s)
        except BaseException:
            self._auditor.missed(job, drawn)
            raise
        finally:
            self._active.discard(job)
            if not self._active:
                self._idle.set()
        self._auditor.begin(job, drawn)
        if job.remaining == 0:  # or some may be in a worker's hands
            job.inputs = {}
            if len(drawn):  # the audit has those of its rows, and may last
                job.outputs = [None] * len(job.outputs)

    async def _run_audit(self, job: Job) -> None:
        self._backlog.enter(job)
        await self._run(job, time.monotonic())

    async def _run(self, job: Job, now_s: float) -> None:
        job.done = self._loop.create_future()
        last_call = self._last_call(job)
        self._without(self._scheduler.submit(job, now_s))
        self._dispatch()
        try:
            await job.done
        finally:
            if last_call is not None:
                last_call.cancel()
            if job.remaining or job.cut_answer is not None:
                self._scheduler.discard(job)
            self._backlog.drop(job)

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
        job.is_degraded = True
        job.settle()

    def _expire_all(self, lost: Sequence[tuple[Work, MemberFailed]]) -> None:
        """Calls end when nobody waits any more, and may be heard of before the timer is: it is the time that
        was too short, not the member that failed."""
        now_s = time.monotonic()
        for work, _ in lost:
            if now_s >= work.job.last_call_s:
                self._expire(work.job)

    def _dispatch(self) -> None:
        now_s = time.monotonic()
        while (batch := self._scheduler.next_batch(now_s)) is not None:
            self._backlog.started(batch, now_s)
            self.breakers.started(batch)
            self._workers.put(batch)

    def _settle(self, ran: Ran) -> None:
        """Back on the loop: free the worker, send rows on, answer the jobs that are through."""
        batch = ran.batch
        self._backlog.heard(time.monotonic() - ran.ended_s)
        self._scheduler.finish(batch)
        self.statistics.batch_done(ran)
        if not ran.gated.lost:
            batch.member.curve.observe(batch.num_rows, ran.spent.compute_s)
        self._report(ran)
        self._expire_all(ran.gated.lost)
        self._advance(ran.gated)
        self._backlog.finished(batch)
        self.breakers.ended(batch, is_failure=ran.has_failed)
        self._dispatch()
        if self._tracer is not None:
            self._tracer.ran(ran)

    def _advance(self, gated: Gated) -> None:
        for drift, binned in gated.drifted:
            drift.add(binned)
        for recent, scores in gated.recent:
            recent.add(scores)
        for job, error in gated.failed:
            job.settle(error)
        for work in gated.forwarded:
            if work.job.depth is not None:
                work.job.depth[work.rows] = work.stage + 1
        onward = gated.forwarded + gated.fell_over
        for work in onward:
            work.job.flow.decided(work.stage, len(work.rows), len(work.rows))
            self._backlog.forwarded(work)
        for exits in gated.exits:
            self._leave(exits)
        self._without(self._scheduler.forward(onward, time.monotonic()))

    def _leave(self, exits: Exits) -> None:
        job = exits.job
        job.flow.decided(exits.at, len(exits.rows), 0)
        self._backlog.exited(job, exits.at, len(exits.rows))
        if job.is_settled:
            return
        if not job.is_audit:
            self.statistics.rows_left(exits)
        job.is_degraded |= exits.is_degraded
        if job.depth is not None:
            job.depth[exits.rows] = LEFT
        job.remaining -= len(exits.rows)
        if job.remaining == 0:
            job.settle()

    def _without(self, works: Sequence[Work]) -> None:
        """Rows whose member is left out go on as if it had failed."""
        for work in works:
            if not work.job.is_settled:
                key = work.job.served.slots[work.slot].key
                self._advance(self._gate.lose([work], MemberDown(f"member {key!r} is out of service")))

    def _left_out(self, member: Member) -> None:
        self._without(self._scheduler.take_back(member))
        self._dispatch()

    def _report(self, ran: Ran) -> None:
        if not ran.gated.lost or ran.started_s - self._logged_s < LOG_EVERY_S:
            return
        self._logged_s = ran.started_s
        log.error("%s (%d requests)", ran.gated.lost[0][1], len(ran.gated.lost))

    async def load(self, name: str) -> None:
        """Serve a cascade as its file is now; requests under way keep the version that they came for.

        NotFound where the repository has none of that name; InvalidRequest where it cannot be loaded, and
        what was served before stays.
        """
        await self._change(lambda loader, registry: loader.load(name, registry))
        log.info("loaded %s, version %s", name, self.registry.cascades[name].version)

    async def replace(self, name: str, make: Callable[[Cascade], Cascade]) -> None:
        """Serve what `make` makes of a cascade, and write it in place of the one there is, which is kept
        beside it. As `load`, and also InvalidRequest where the file is not what is served."""
        await self._change(lambda loader, registry: loader.replace(name, registry, make))
        log.info("replaced %s by version %s", name, self.registry.cascades[name].version)

    async def unload(self, name: str) -> None:
        """Serve a cascade, and the members that no other has, no longer. NotFound where it is not served."""
        await self._change(lambda _, registry: registry.without_cascade(name))
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
        """Take no new requests, and wait until those under way have their answers; audits are let go."""
        self.is_accepting = False
        await self._auditor.close()
        await self._idle.wait()

    def stop(self) -> None:
        self.is_accepting = False
        self._workers.stop()


def _outcome(error: RequestError | asyncio.CancelledError) -> Outcome:
    if isinstance(error, Overloaded):
        return "shed"
    if isinstance(error, TimedOut):
        return "timed_out"
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
