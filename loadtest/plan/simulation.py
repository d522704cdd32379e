"""A cascade's requests in simulated time, event by event. Deterministic: the same seed, the same figures.

A replica that is free never waits: it takes up to a full batch of what has waited longest, of the member
whose head has waited longest. That is how our server forms batches, but that it takes the earliest deadline
of one member's queue first, which is nearly the same order where all requests allow as long. Where a row
exits is drawn for each row by itself; rows of a request that are alike would exit together.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from loadtest.plan.arrivals import Arrivals
from loadtest.plan.pipeline import Member, Pipeline
from loadtest.plan.simulated import MemberLoad, Simulated

DRAWN_AT_ONCE = 4096


def simulate(pipeline: Pipeline, arrivals: Arrivals, seed: int = 0) -> Simulated:
    """All requests, to the last answer."""
    return _Run(pipeline, arrivals, seed).to_the_end()


class _Queue:
    """Rows that wait for a member, by when they came, and what it has run so far."""

    def __init__(self, member: Member, stage: int) -> None:
        self.member = member
        self.stage = stage
        self.waiting: deque[tuple[float, int]] = deque()
        self.rows = self.batches = self.most_waiting = 0
        self.busy_s = self.wait_s = 0.0

    def push(self, rows: Sequence[int], now_s: float) -> None:
        self.waiting.extend((now_s, row) for row in rows)
        self.most_waiting = max(self.most_waiting, len(self.waiting))

    def take(self, now_s: float) -> list[int]:
        waiting = self.waiting
        num_rows = min(len(waiting), self.member.max_batch_rows)
        taken = [waiting.popleft() for _ in range(num_rows)]
        self.rows += num_rows
        self.batches += 1
        self.wait_s += sum(now_s - entered_s for entered_s, _ in taken)
        return [row for _, row in taken]

    @property
    def load(self) -> MemberLoad:
        return MemberLoad(
            rows=self.rows,
            batches=self.batches,
            busy_s=self.busy_s,
            wait_s=self.wait_s,
            most_waiting=self.most_waiting,
        )


class _Pool:
    def __init__(self, queues: list[_Queue], num_replicas: int) -> None:
        self.queues = queues
        self.num_free = num_replicas

    def next_queue(self) -> _Queue | None:
        """The one where a row has waited longest, if a replica is free."""
        having = [queue for queue in self.queues if queue.waiting]
        if not having or not self.num_free:
            return None
        return having[0] if len(having) == 1 else min(having, key=lambda queue: queue.waiting[0])


class _Run:
    """An event is an arrival (of a request, by its number) or a batch that ends (its queue and rows)."""

    def __init__(self, pipeline: Pipeline, arrivals: Arrivals, seed: int) -> None:
        exits, spreads, overheads = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
        self._pipeline = pipeline
        self._arrivals = arrivals
        self._first_row = np.concatenate([[0], np.cumsum(arrivals.rows)]).tolist()
        self._request_of = np.repeat(np.arange(len(arrivals)), arrivals.rows).tolist()
        self._exit_of = _drawn_exits(pipeline, len(self._request_of), exits).tolist()
        self._overhead_s = overheads.choice(np.array(pipeline.overhead_s), len(arrivals))
        self._normal = _normals(spreads)
        self._lay_out()
        self._rows_left: list[int] = arrivals.rows.tolist()
        self._members_left = [0] * len(self._request_of)
        self._done_s = [0.0] * len(arrivals)
        self._events: list[tuple[float, int, _Queue, list[int]]] = []
        self._num_batches = 0

    def _lay_out(self) -> None:
        self._stages = [
            [_Queue(member, number) for member in stage] for number, stage in enumerate(self._pipeline.stages)
        ]
        self._queues = {queue.member.name: queue for stage in self._stages for queue in stage}
        self._pools = [
            _Pool([self._queues[name] for name in pool.members], pool.num_replicas)
            for pool in self._pipeline.pools
        ]
        self._pool_of = {name: run for run in self._pools for name in (q.member.name for q in run.queues)}

    def to_the_end(self) -> Simulated:
        for request, time_s in enumerate(self._arrivals.times_s.tolist()):
            self._run_until(time_s)
            self._enter(0, range(self._first_row[request], self._first_row[request + 1]), time_s)
        self._run_until(math.inf)
        return self._seen()

    def _run_until(self, time_s: float) -> None:
        while self._events and self._events[0][0] <= time_s:
            now_s, _, queue, rows = heapq.heappop(self._events)
            self._end(queue, rows, now_s)

    def _enter(self, stage: int, rows: Sequence[int], now_s: float) -> None:
        queues = self._stages[stage]
        for row in rows:
            self._members_left[row] = len(queues)
        for queue in queues:
            queue.push(rows, now_s)
        for queue in queues:
            self._dispatch(self._pool_of[queue.member.name], now_s)

    def _dispatch(self, pool: _Pool, now_s: float) -> None:
        while (queue := pool.next_queue()) is not None:
            rows = queue.take(now_s)
            took_s = self._service_s(queue.member, len(rows))
            queue.busy_s += took_s
            pool.num_free -= 1
            self._num_batches += 1
            heapq.heappush(self._events, (now_s + took_s, self._num_batches, queue, rows))

    def _service_s(self, member: Member, num_rows: int) -> float:
        """Lognormal about the curve, where it has a spread."""
        seconds, spread = member.curve.seconds(num_rows), member.curve.spread
        if not spread:
            return seconds
        variance = math.log1p(spread**2)
        return seconds * math.exp(math.sqrt(variance) * next(self._normal) - variance / 2)

    def _end(self, queue: _Queue, rows: list[int], now_s: float) -> None:
        pool = self._pool_of[queue.member.name]
        pool.num_free += 1
        forwarded = self._gate(queue.stage, rows, now_s)
        if forwarded:
            self._enter(queue.stage + 1, forwarded, now_s)
        self._dispatch(pool, now_s)

    def _gate(self, stage: int, rows: list[int], now_s: float) -> list[int]:
        """Those that go on. A row whose stage has other members to run waits for the last of them."""
        forwarded = []
        for row in rows:
            self._members_left[row] -= 1
            if self._members_left[row]:
                continue
            if self._exit_of[row] == stage:
                self._leave(self._request_of[row], now_s)
            else:
                forwarded.append(row)
        return forwarded

    def _leave(self, request: int, now_s: float) -> None:
        self._rows_left[request] -= 1
        if not self._rows_left[request]:
            self._done_s[request] = now_s

    def _seen(self) -> Simulated:
        times_s, done_s = self._arrivals.times_s, np.array(self._done_s)
        pools = self._pipeline.pools
        return Simulated(
            latency_s=done_s - times_s + self._overhead_s,
            exit_stage=np.array(self._exit_of) + 1,
            span_s=float(done_s.max() - times_s[0]),
            loads={name: queue.load for name, queue in self._queues.items()},
            replicas={name: pool.num_replicas for pool in pools for name in pool.members},
        )


def _drawn_exits(pipeline: Pipeline, num_rows: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Stages, 0 the first."""
    bounds = np.cumsum(pipeline.exits[:-1])
    return np.searchsorted(bounds, generator.random(num_rows), side="right")


def _normals(generator: np.random.Generator) -> Iterator[float]:
    """One call of the generator for many numbers."""
    while True:
        yield from generator.standard_normal(DRAWN_AT_ONCE).tolist()
