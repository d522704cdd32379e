"""What the server spent while something ran, as far as it tells."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from loadtest.errors import TargetError
from loadtest.wire.client import Client
from loadtest.wire.clients import server_cpu_s
from loadtest.wire.model_statistics import ModelStatistics, between, total

STATISTICS_TIMEOUT_S = 5.0
# Triton counts a request a moment after it has answered it.
SETTLING_S = 0.02


@dataclass
class ServerUsage:
    """Filled in when the measured block is left. None where no target tells, or the server failed or began
    anew meanwhile. `statistics` are of each model and member, by name."""

    cpu_s: float | None = None
    statistics: Mapping[str, ModelStatistics] | None = field(default=None)


@asynccontextmanager
async def measured_server(client: Client, *others: Client) -> AsyncIterator[ServerUsage]:
    """`others` are clients of the same server, over protocols that may tell what this one does not."""
    usage = ServerUsage()
    clients = (client, *others)
    cpu_before, statistics_before = await server_cpu_s(clients), await statistics_of(client)
    yield usage
    cpu_after, statistics_after = await server_cpu_s(clients), await settled_statistics_of(client)
    if cpu_before is not None and cpu_after is not None and cpu_after >= cpu_before:
        usage.cpu_s = cpu_after - cpu_before
    if statistics_before is not None and statistics_after is not None:
        difference = between(statistics_before, statistics_after)
        if all(each.rows >= 0 for each in difference.values()):
            usage.statistics = difference


async def statistics_of(client: Client) -> Mapping[str, ModelStatistics] | None:
    """None on any failure: a server that dies under load is a finding, and must not end the load test."""
    try:
        async with asyncio.timeout(STATISTICS_TIMEOUT_S):
            return await client.statistics()
    except (TargetError, TimeoutError):
        return None


async def settled_statistics_of(client: Client) -> Mapping[str, ModelStatistics] | None:
    """As soon as two readings agree; the last one where other traffic lets none."""
    seen = await statistics_of(client)
    for _ in range(10):
        await asyncio.sleep(SETTLING_S)
        again = await statistics_of(client)
        if again == seen:
            break
        seen = again
    return seen


def summed(parts: Sequence[ServerUsage]) -> ServerUsage:
    """Of blocks one after the other; None where one of them does not tell."""
    cpu = [part.cpu_s for part in parts]
    statistics = [part.statistics for part in parts]
    return ServerUsage(
        None if None in cpu else sum(each for each in cpu if each is not None),
        None if None in statistics else total([each for each in statistics if each is not None]),
    )
