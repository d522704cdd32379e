"""A real engine on the files of a repository, and a watcher that looks at them when told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.config import Limits, SchedulerConfig, ServerConfig
from serving.engine import Engine
from serving.grpc.health import HealthService
from serving.grpc.service import start_grpc
from serving.grpc.streams import Streams
from serving.loading import Loader, read_cascades
from serving.server import HttpServer, http_config, listen
from serving.services import make_services
from serving.watching import Watcher

ROWS_A_BATCH = 1  # so that a request of many rows takes long


@dataclass(frozen=True)
class Followed:
    engine: Engine
    watcher: Watcher
    health: HealthService

    async def look_twice(self) -> None:
        for _ in range(2):
            await self.watcher.follow()

    @property
    def versions(self) -> dict[str, int]:
        return {name: served.cascade.version for name, served in self.engine.registry.cascades.items()}


@asynccontextmanager
async def followed(path: Path, reload_s: float = 60.0) -> AsyncIterator[Followed]:
    """An engine and its watcher, which has looked at what is served."""
    loader = Loader(path, ROWS_A_BATCH)
    config = SchedulerConfig(num_workers=1, max_batch_rows=ROWS_A_BATCH)
    engine = Engine(loader.load_all(read_cascades(path)), config, Limits(), loader)
    engine.start()
    health = HealthService(engine)
    watcher = Watcher(engine, path, reload_s=reload_s, changed=health.changed)
    try:
        await watcher.follow()
        yield Followed(engine, watcher, health)
    finally:
        engine.stop()


@asynccontextmanager
async def over_the_wire(engine: Engine, path: Path) -> AsyncIterator[dict[str, str]]:
    """Both protocols on free ports of loopback; their addresses."""
    services = make_services(engine, ServerConfig(repository=path))
    listener = listen("127.0.0.1", 0)
    http_server = HttpServer(http_config(services, 1.0))
    http_task = asyncio.create_task(http_server.serve([listener]))
    port = listener.getsockname()[1]
    grpc_server, grpc_port = await start_grpc(services, Streams(), "127.0.0.1", 0)
    try:
        yield {"http": f"127.0.0.1:{port}", "grpc": f"127.0.0.1:{grpc_port}"}
    finally:
        http_server.should_exit = http_server.force_exit = True
        await grpc_server.stop(0)
        await http_task
        services.close()
