"""Traces: a span for each request, and below it one for each member's batch that some of its rows were in.

Spans are made after the fact, of times that the engine notes anyway, and in no exporter's terms.
"""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from serving.errors import RequestError
from serving.jobs import Job, Work
from serving.messages import InferRequest
from serving.running import Ran
from serving.served import ServedCascade
from serving.trace_context import Sampler, Trace

Lost = RequestError | asyncio.CancelledError
"""How a request can end without an answer."""

Value = bool | int | float | str | Sequence[int]


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong: its kind, and what the client is told."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Times are on the monotonic clock. A request's span is at the server's edge, those below it are not."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    is_request: bool
    started_s: float
    ended_s: float
    attributes: dict[str, Value] = field(default_factory=dict)
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Traced:
    """A request that is traced, until its `end`."""

    trace: Trace
    request: InferRequest
    served: ServedCascade
    emit: Callable[[Span], None]

    def end(self, job: Job | None, error: Lost | None = None) -> None:
        """It is over, now. `job` is None where it was refused."""
        trace, attributes = self.trace, _described(self.request, self.served)
        if job is not None:
            attributes |= _told(job, error is None)
        self.emit(
            Span(
                name=f"infer {self.served.name}",
                trace_id=trace.trace_id,
                span_id=trace.span_id,
                parent_id=trace.parent_id,
                is_request=True,
                started_s=trace.started_s,
                ended_s=time.monotonic(),
                attributes=attributes,
                fault=None if error is None else fault_of(error),
            )
        )


class Tracer:
    """`begin` when a request comes, `ran` after each batch.

    A batch that ends after the request has its answer (it was cut short) is told of all the same.
    """

    def __init__(self, emit: Callable[[Span], None], share: float = 1.0) -> None:
        self._emit = emit
        self._sampler = Sampler(share, random.Random())

    def begin(self, request: InferRequest, served: ServedCascade, now_s: float) -> Traced | None:
        """None where it is not sampled."""
        trace = self._sampler.trace(request.traceparent, now_s)
        return None if trace is None else Traced(trace, request, served, self._emit)

    def ran(self, ran: Ran) -> None:
        traced: dict[Trace, list[Work]] = defaultdict(list)
        for work in ran.batch.works:
            if work.job.trace is not None:
                traced[work.job.trace].append(work)
        if traced:
            outcome = _Outcome(ran)
            for trace, works in traced.items():
                self._emit(self._part(trace, works, ran, outcome))

    def _part(self, trace: Trace, works: Sequence[Work], ran: Ran, outcome: "_Outcome") -> Span:
        """Of one request's rows in a batch."""
        first, job = works[0], works[0].job
        attributes: dict[str, Value] = {
            "exitgate.stage": first.stage + 1,
            "exitgate.member": ran.batch.member.key,
            "exitgate.rows": _num_rows(works),
            "exitgate.batch_rows": ran.batch.num_rows,
            "exitgate.queue_s": ran.started_s - min(work.entered_s for work in works),
            "exitgate.exited_rows": outcome.exited[job],
            "exitgate.forwarded_rows": outcome.forwarded[job],
        }
        if job in outcome.lost:
            attributes["exitgate.lost_rows"] = outcome.lost[job]
        return Span(
            name=f"stage {first.stage + 1} {job.served.slot_names[first.slot]}",
            trace_id=trace.trace_id,
            span_id=self._sampler.new_id(64),
            parent_id=trace.span_id,
            is_request=False,
            started_s=ran.started_s,
            ended_s=ran.started_s + ran.spent.compute_s,
            attributes=attributes,
            fault=outcome.faults.get(job),
        )


class _Outcome:
    """Rows of each job by what became of them after a batch; those whose stage waits for another member are
    in none."""

    def __init__(self, ran: Ran) -> None:
        gated = ran.gated
        self.exited: Counter[Job] = Counter()
        for exits in gated.exits:
            self.exited[exits.job] += len(exits.rows)
        self.forwarded = _by_job(gated.forwarded + gated.fell_over)
        self.lost = _by_job(work for work, _ in gated.lost)
        self.faults = {work.job: fault_of(error) for work, error in gated.lost}


def _by_job(works: Iterable[Work]) -> Counter[Job]:
    counted: Counter[Job] = Counter()
    for work in works:
        counted[work.job] += len(work.rows)
    return counted


def _num_rows(works: Iterable[Work]) -> int:
    return sum(len(work.rows) for work in works)


def _described(request: InferRequest, served: ServedCascade) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        "exitgate.model": served.name,
        "exitgate.cascade_version": served.version,
    }
    return attributes | ({"exitgate.request_id": request.id} if request.id else {})


def _told(job: Job, is_answered: bool) -> dict[str, Value]:
    attributes: dict[str, Value] = {"exitgate.policy": job.policy_name, "exitgate.rows": job.num_rows}
    if job.gear is not None:
        attributes["exitgate.gear"] = job.gear
    if is_answered:
        exits = np.bincount(job.final_answer.exit_stage, minlength=job.served.num_stages + 1)
        attributes["exitgate.degraded"] = job.is_degraded
        attributes["exitgate.exits"] = exits[1:].tolist()
    return attributes


def fault_of(error: Lost) -> Fault:
    return Fault(type(error).__name__, str(error) or "nobody waits for the answer any more")
