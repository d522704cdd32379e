"""The open loop: requests leave when the schedule says, whether or not earlier ones were answered.

The life of a request: *intended* (drawn beforehand), *ready* (the generator got round to it; the lag is
the generator's own fault), *sent* (it had a slot among those in flight; the wait is the server's fault),
*done*. Latency counts from *intended*, so that a stalled server can't hide by holding up its clients.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.config import LoadConfig
from loadtest.generator.pacer import Pacer
from loadtest.traffic.schedule import Schedule
from loadtest.wire.client import Client, Reply, Request, Status

Times = NDArray[np.float64]
# Time for the thread to start before the first request is due.
LEAD_S = 0.05
GIVEN_UP = Reply(Status.TIMEOUT, detail="given up: no answer in time")


@dataclass(frozen=True, kw_only=True)
class OpenLoopRun:
    """One entry per request of the schedule; seconds from the start, `sent_s` NaN where never sent."""

    intended_s: Times
    ready_s: Times
    sent_s: Times
    done_s: Times
    replies: tuple[Reply, ...]


async def run_open_loop(
    client: Client,
    requests: Sequence[Request],
    schedule: Schedule,
    load: LoadConfig,
    advance: Callable[[int], object],
) -> OpenLoopRun:
    return await _OpenLoop(client, requests, schedule, load, advance).run()


class _OpenLoop:
    def __init__(
        self,
        client: Client,
        requests: Sequence[Request],
        schedule: Schedule,
        load: LoadConfig,
        advance: Callable[[int], object],
    ) -> None:
        self._client = client
        self._requests = requests
        self._intended_s = schedule.intended_s
        self._timeout_s = load.timeout_s
        self._advance = advance
        self._slots = asyncio.Semaphore(load.max_in_flight)
        self._times = np.full((3, len(schedule)), np.nan)
        self._ready_s, self._sent_s, self._done_s = self._times
        self._replies = [GIVEN_UP] * len(schedule)
        self._tasks: set[asyncio.Task[None]] = set()
        self._start = 0.0

    async def run(self) -> OpenLoopRun:
        loop = asyncio.get_running_loop()
        pacer = Pacer(self._intended_s, lambda i, j: loop.call_soon_threadsafe(self._begin, i, j))
        self._start = time.perf_counter() + LEAD_S
        try:
            await asyncio.to_thread(pacer.run, self._start)
            # The last hand-over is queued ahead of this coroutine's waking, so all tasks exist by now.
            await asyncio.gather(*self._tasks)
        finally:
            pacer.stop()
            for task in self._tasks:
                task.cancel()
        return OpenLoopRun(
            intended_s=self._intended_s,
            ready_s=self._ready_s,
            sent_s=self._sent_s,
            done_s=self._done_s,
            replies=tuple(self._replies),
        )

    def _begin(self, begin: int, end: int) -> None:
        self._ready_s[begin:end] = self._now()
        for index in range(begin, end):
            task = asyncio.create_task(self._settle(index))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settle(self, index: int) -> None:
        left_s = self._intended_s[index] + self._timeout_s - self._now()
        try:
            async with asyncio.timeout(left_s), self._slots:
                self._sent_s[index] = self._now()
                self._replies[index] = await self._client.send(self._requests[index])
        except TimeoutError:
            self._replies[index] = GIVEN_UP
        self._done_s[index] = self._now()
        self._advance(1)

    def _now(self) -> float:
        return time.perf_counter() - self._start
