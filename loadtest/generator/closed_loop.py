"""The closed loop: so many requests always in flight, to find out how many rows a second go through."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from loadtest.config import CapacityConfig
from loadtest.generator.open_loop import Sender
from loadtest.wire.client import Request, Status

# The first answers come while queues still fill.
RAMP_SHARE = 0.1
# What a stuck server may add to the end of the loop.
TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class ClosedLoopRun:
    """`num_rows` were answered within `seconds`; the ramp before and the tail after count in
    `num_rows_in_all` alone."""

    num_rows: int
    num_rows_in_all: int
    num_errors: int
    seconds: float

    @property
    def rows_per_s(self) -> float:
        return self.num_rows / self.seconds


def added(parts: Sequence[ClosedLoopRun]) -> ClosedLoopRun:
    """Of processes that ran side by side for as long."""
    return ClosedLoopRun(
        num_rows=sum(part.num_rows for part in parts),
        num_rows_in_all=sum(part.num_rows_in_all for part in parts),
        num_errors=sum(part.num_errors for part in parts),
        seconds=parts[0].seconds,
    )


@dataclass
class _Tally:
    num_counted: int = 0
    num_answered: int = 0
    num_errors: int = 0


async def run_closed_loop(
    client: Sender, requests: Sequence[Request], capacity: CapacityConfig, advance: Callable[[int], object]
) -> ClosedLoopRun:
    """Cycles through `requests`; a failed one is counted and replaced by the next."""
    start = time.perf_counter()
    ramp_s = capacity.seconds * RAMP_SHARE
    opens, closes = start + ramp_s, start + capacity.seconds
    endless, tally = itertools.cycle(requests), _Tally()
    async with asyncio.TaskGroup() as group:
        for _ in range(capacity.in_flight):
            group.create_task(_keep_sending(client, endless, opens, closes, tally, advance))
    return ClosedLoopRun(
        num_rows=tally.num_counted * capacity.rows_per_request,
        num_rows_in_all=tally.num_answered * capacity.rows_per_request,
        num_errors=tally.num_errors,
        seconds=capacity.seconds - ramp_s,
    )


async def _keep_sending(
    client: Sender,
    requests: Iterator[Request],
    opens: float,
    closes: float,
    tally: _Tally,
    advance: Callable[[int], object],
) -> None:
    while time.perf_counter() < closes:
        is_answered = await _is_answered(client, next(requests))
        now = time.perf_counter()
        tally.num_answered += is_answered
        tally.num_counted += is_answered and opens <= now < closes
        tally.num_errors += not is_answered
        advance(1)
        if not is_answered:
            # A server that refuses at once must not be hammered.
            await asyncio.sleep(0.01)


async def _is_answered(client: Sender, request: Request) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reply = await client.send(request)
    except TimeoutError:
        return False
    return reply.status is Status.OK
