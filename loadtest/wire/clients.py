"""Clients of the targets, and what is asked of a server beside inference."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from loadtest.errors import TargetError
from loadtest.wire.client import Client
from loadtest.wire.grpc import GrpcClient
from loadtest.wire.http import HttpClient
from loadtest.wire.options import WireOptions
from loadtest.wire.served import ServedModel
from loadtest.wire.targets import Target

CLIENTS: dict[str, Callable[[Target, str, WireOptions], Client]] = {"http": HttpClient, "grpc": GrpcClient}

# Asked before and after each load, of a server that may have stalled.
CPU_TIMEOUT_S = 2.0


@asynccontextmanager
async def open_clients(
    targets: Sequence[Target], models: Sequence[str], options: WireOptions
) -> AsyncIterator[dict[tuple[Target, str], Client]]:
    """One for each target and model."""
    async with AsyncExitStack() as stack:
        clients: dict[tuple[Target, str], Client] = {}
        for target in targets:
            for model in models:
                client = CLIENTS[target.protocol](target, model, options)
                stack.push_async_callback(client.close)
                clients[target, model] = client
        yield clients


async def fetch_served(client: Client) -> ServedModel:
    """TargetError where the server is down, or does not serve the model."""
    await client.check_ready()
    return await client.describe()


async def server_cpu_s(clients: Iterable[Client]) -> float | None:
    """CPU-seconds of the server, asked over whichever protocol tells. None on any failure: a server that
    dies or stalls under load is a finding, and must not end the load test."""
    for client in clients:
        with suppress(TargetError, TimeoutError):
            async with asyncio.timeout(CPU_TIMEOUT_S):
                seconds = await client.server_cpu_s()
            if seconds is not None:
                return seconds
    return None
