"""A real engine on the files of a repository, and a watcher that looks at them when told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.config import Limits, SchedulerConfig
from serving.engine import Engine
from serving.grpc.health import HealthService
from serving.loading import Loader, read_cascades
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
async def started(path: Path, reload_s: float = 60.0) -> AsyncIterator[Followed]:
    """An engine and its watcher, which has not looked yet."""
    loader = Loader(path, ROWS_A_BATCH)
    config = SchedulerConfig(num_workers=1, max_batch_rows=ROWS_A_BATCH)
    engine = Engine(loader.load_all(read_cascades(path)), config, Limits(), loader)
    engine.start()
    health = HealthService(engine)
    watcher = Watcher(engine, path, reload_s=reload_s, changed=health.changed)
    try:
        yield Followed(engine, watcher, health)
    finally:
        engine.stop()


@asynccontextmanager
async def followed(path: Path, reload_s: float = 60.0) -> AsyncIterator[Followed]:
    """An engine and its watcher, which has looked at what is served."""
    async with started(path, reload_s) as it:
        await it.watcher.follow()
        yield it
