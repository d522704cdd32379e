"""Clients of the targets, and what is checked of a server before any load goes to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from cascade.cascade_file import Cascade, cascade_from_json
from cascade.errors import CascadeError
from loadtest.errors import TargetError
from loadtest.wire.client import Client, translated
from loadtest.wire.grpc import GrpcClient
from loadtest.wire.http import HttpClient
from loadtest.wire.targets import Target

CLIENTS: dict[str, Callable[[Target, str], Client]] = {"http": HttpClient, "grpc": GrpcClient}


# Asked before and after each load, of a server that may have stalled.
CPU_TIMEOUT_S = 2.0


@asynccontextmanager
async def open_clients(targets: Sequence[Target], model: str) -> AsyncIterator[tuple[Client, ...]]:
    async with AsyncExitStack() as stack:
        clients: list[Client] = []
        for target in targets:
            clients.append(CLIENTS[target.protocol](target, model))
            stack.push_async_callback(clients[-1].close)
        yield tuple(clients)


async def fetch_cascade(clients: Sequence[Client], model: str) -> Cascade:
    """The cascade that all targets serve; TargetError where one is down, or serves another."""
    cascades = [await _cascade_of(client, model) for client in clients]
    for client, cascade in zip(clients, cascades, strict=True):
        if cascade != cascades[0]:
            raise TargetError(f"{client.target.url} serves another {model!r} than {clients[0].target.url}")
    return cascades[0]


async def _cascade_of(client: Client, model: str) -> Cascade:
    where = client.target.url
    await client.check_ready()
    text = await client.cascade_json()
    if text is None:
        names = await client.model_names()
        what = "is served there but is no cascade" if model in names else "is not served there"
        raise TargetError(f"{where}: model {model!r} {what}; there are: {', '.join(names) or 'none'}")
    with translated(f"{where}: the configuration of {model!r}"):
        try:
            return cascade_from_json(json.loads(text), f"{where}: cascade {model!r}")
        except CascadeError as error:
            raise TargetError(str(error)) from None


def chosen_policies(cascade: Cascade, asked: Sequence[str]) -> tuple[str, ...]:
    missing = [name for name in asked if name not in cascade.policies]
    if missing:
        raise TargetError(
            f"{cascade.name!r} has no policy {missing[0]!r}; there are: {', '.join(cascade.policies)}"
        )
    return tuple(asked or cascade.policies)


async def server_cpu_s(clients: Sequence[Client]) -> float | None:
    """CPU-seconds of the server, asked over whichever protocol tells. None on any failure: a server that
    dies or stalls under load is a finding, and must not end the load test."""
    for client in clients:
        with suppress(TargetError, TimeoutError):
            async with asyncio.timeout(CPU_TIMEOUT_S):
                seconds = await client.server_cpu_s()
            if seconds is not None:
                return seconds
    return None
