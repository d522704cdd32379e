"""The open loop: requests leave when the schedule says, whether or not earlier ones were answered.

The life of a request: *intended* (drawn beforehand), *ready* (the generator got round to it; the lag is
the generator's own fault), *sent* (it had a slot among those in flight; the wait is the server's fault),
*done*. Latency counts from *intended*, so that a stalled server can't hide by holding up its clients.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loadtest.generator.pacer import Pacer
from loadtest.generator.usage import GeneratorUsage, measured_usage
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.schedule import Schedule
from loadtest.wire.client import Reply, Request, Status

Times = NDArray[np.float64]
Settled = Callable[[bool, float], object]
# Time for the thread to start before the first request is due.
LEAD_S = 0.05
GIVEN_UP = Reply(Status.TIMEOUT, detail="given up: no answer in time")


@dataclass(frozen=True, kw_only=True)
class OpenLoopRun:
    """One entry per request of the schedule; seconds from the start, `sent_s` NaN where never sent. `usage`
    is of the time in which requests were due, not of the waiting for the last answers."""

    intended_s: Times
    ready_s: Times
    sent_s: Times
    done_s: Times
    replies: tuple[Reply, ...]
    usage: GeneratorUsage


class Sender(Protocol):
    async def send(self, request: Request) -> Reply: ...


async def run_open_loop(
    client: Sender,
    requests: Sequence[Request],
    schedule: Schedule,
    load: LoadConfig,
    settled: Settled,
    start: float | None = None,
) -> OpenLoopRun:
    """`settled` is told of each request whether it was answered, and its latency in seconds. `start` is the
    time of arrival 0.0 on `time.perf_counter`, which processes of one machine share; soon where none is
    given."""
    return await _OpenLoop(client, requests, schedule, load, settled).run(start)


class _OpenLoop:
    """Only requests in flight are tasks; those beyond wait as numbers. Deadlines fall in the order of the
    schedule, so that one timer does for all: a timer and a semaphore for each would cost a third of what a
    request costs. `_replies` are None until settled."""

    def __init__(
        self,
        client: Sender,
        requests: Sequence[Request],
        schedule: Schedule,
        load: LoadConfig,
        settled: Settled,
    ) -> None:
        self._client = client
        self._requests = requests
        self._intended_s = schedule.intended_s
        self._timeout_s = load.timeout_s
        self._deadline_s: list[float] = (schedule.intended_s + load.timeout_s).tolist()
        self._settled = settled
        self._max_in_flight = load.max_in_flight
        # Lists, since a number into an array costs as much as ten into a list.
        self._ready_s, self._sent_s, self._done_s = ([math.nan] * len(schedule) for _ in range(3))
        self._replies: list[Reply | None] = [None] * len(schedule)
        self._waiting: deque[int] = deque()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._num_unsettled = len(schedule)
        self._oldest = 0
        self._timer: asyncio.TimerHandle | None = None
        self._start = 0.0

    async def run(self, start: float | None) -> OpenLoopRun:
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        pacer = Pacer(self._intended_s, lambda i, j: self._loop.call_soon_threadsafe(self._begin, i, j))
        self._start = time.perf_counter() + LEAD_S if start is None else start
        self._give_up_late()
        try:
            with measured_usage() as usage:
                await asyncio.to_thread(pacer.run, self._start)
            if self._num_unsettled or self._finished.done():
                await self._finished
        finally:
            pacer.stop()
            if self._timer is not None:
                self._timer.cancel()
            self._waiting.clear()
            for task in list(self._tasks.values()):
                task.cancel()
        return self._run(usage if self._requests else GeneratorUsage())

    def _run(self, usage: GeneratorUsage) -> OpenLoopRun:
        return OpenLoopRun(
            intended_s=self._intended_s,
            ready_s=np.array(self._ready_s, np.float64),
            sent_s=np.array(self._sent_s, np.float64),
            done_s=np.array(self._done_s, np.float64),
            replies=tuple(reply or GIVEN_UP for reply in self._replies),
            usage=usage,
        )

    def _begin(self, begin: int, end: int) -> None:
        self._ready_s[begin:end] = [self._now()] * (end - begin)
        self._waiting.extend(range(begin, end))
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and len(self._tasks) < self._max_in_flight:
            index = self._waiting.popleft()
            if self._replies[index] is None:
                self._tasks[index] = self._loop.create_task(self._send(index))

    async def _send(self, index: int) -> None:
        self._sent_s[index] = self._now()
        try:
            self._settle(index, await self._client.send(self._requests[index]))
        except Exception as error:  # a bug: the run must end with it, and not wait for ever
            if not self._finished.done():
                self._finished.set_exception(error)
        finally:
            self._leave(index)

    def _settle(self, index: int, reply: Reply) -> None:
        self._replies[index] = reply
        self._done_s[index] = self._now()
        self._num_unsettled -= 1
        latency_s = self._done_s[index] - self._deadline_s[index] + self._timeout_s
        self._settled(reply.status is Status.OK, latency_s)
        if self._num_unsettled == 0 and not self._finished.done():
            self._finished.set_result(None)

    def _give_up_late(self) -> None:
        """And come again when the oldest that is left is late."""
        now = self._now()
        while self._oldest < len(self._replies):
            if self._replies[self._oldest] is None:
                if self._deadline_s[self._oldest] > now:
                    break
                self._give_up(self._oldest)
            self._oldest += 1
        if self._oldest < len(self._replies):
            left_s = self._deadline_s[self._oldest] - now
            self._timer = self._loop.call_later(left_s, self._give_up_late)

    def _give_up(self, index: int) -> None:
        self._settle(index, GIVEN_UP)
        task = self._tasks.get(index)
        if task is not None:
            task.cancel()
            # Here, and not by the task alone: one that never began to run has no end either.
            self._leave(index)

    def _leave(self, index: int) -> None:
        """A slot is free again."""
        if self._tasks.pop(index, None) is not None:
            self._send_waiting()

    def _now(self) -> float:
        return time.perf_counter() - self._start
