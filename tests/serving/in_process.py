"""The edges in the test's own process, before an engine: a real one, or one that does as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.config import Limits, ServerConfig
from serving.grpc.service import start_grpc
from serving.grpc.streams import Streams
from serving.http.protocol import ConnectionLimits
from serving.loading import Loader, read_cascades
from serving.messages import InferRequest
from serving.registry import Registry
from serving.server import DEFAULT_LIMITS, HttpServer, http_config, listen
from serving.services import Services, make_services
from tests.repositories import Repository

Infer = Callable[[InferRequest], Awaitable[Any]]


async def refuse_to_infer(request: InferRequest) -> Any:
    raise AssertionError("no inference was expected")


@dataclass
class ToldEngine:
    """Of an engine what the edges use. `cancelled` counts requests that ended before their answer."""

    registry: Registry
    infer_as: Infer = refuse_to_infer
    limits: Limits = field(default_factory=Limits)
    is_accepting: bool = True
    seen: list[InferRequest] = field(default_factory=list)
    cancelled: int = 0
    queued_rows: int = 0
    active_requests: int = 0

    async def infer(self, request: InferRequest) -> Any:
        self.seen.append(request)
        try:
            return await self.infer_as(request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@dataclass(frozen=True)
class Wire:
    """`http` and `grpc` are HOST:PORT."""

    services: Services
    streams: Streams
    http: str
    grpc: str
    connections: Collection[object]


@dataclass(frozen=True)
class Edges(Wire):
    engine: ToldEngine


@asynccontextmanager
async def over_the_wire(
    engine: Any, path: Path, limits: ConnectionLimits = DEFAULT_LIMITS
) -> AsyncIterator[Wire]:
    """Both protocols on free ports of loopback."""
    services = make_services(engine, ServerConfig(repository=path))
    streams = Streams()
    listener = listen("127.0.0.1", 0)
    http_server = HttpServer(http_config(services, 1.0, limits))
    http_task = asyncio.create_task(http_server.serve([listener]))
    await http_server.is_listening.wait()
    port = listener.getsockname()[1]
    grpc_server, grpc_port = await start_grpc(services, streams, "127.0.0.1", 0)
    try:
        addresses = (f"127.0.0.1:{port}", f"127.0.0.1:{grpc_port}")
        yield Wire(services, streams, *addresses, http_server.server_state.connections)
    finally:
        http_server.should_exit = http_server.force_exit = True
        await grpc_server.stop(0)
        await http_task
        services.close()


@asynccontextmanager
async def edges(
    repository: Repository, infer_as: Infer = refuse_to_infer, limits: ConnectionLimits = DEFAULT_LIMITS
) -> AsyncIterator[Edges]:
    cascades = read_cascades(repository.path)
    engine = ToldEngine(Loader(repository.path, 8).load_all(cascades), infer_as)
    async with over_the_wire(engine, repository.path, limits) as wire:
        yield Edges(**vars(wire), engine=engine)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something has come true on this loop."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it is about things that have no event
            await asyncio.sleep(0.01)
