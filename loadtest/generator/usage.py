"""CPU time spent while something ran: the generator's own, and the server's where it tells."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loadtest.wire.client import Client
from loadtest.wire.clients import server_cpu_s


@dataclass
class Usage:
    """Filled in when the measured block is left. `server_cpu_s` is None where no target tells, or the server
    failed or began anew meanwhile."""

    wall_s: float = 0.0
    generator_cpu_s: float = 0.0
    server_cpu_s: float | None = None

    @property
    def generator_cpu_share(self) -> float:
        """Of one core."""
        return self.generator_cpu_s / self.wall_s if self.wall_s else 0.0


@asynccontextmanager
async def measured_usage(clients: Sequence[Client]) -> AsyncIterator[Usage]:
    usage = Usage()
    server_before = await server_cpu_s(clients)
    wall, cpu = time.perf_counter(), time.process_time()
    yield usage
    usage.wall_s, usage.generator_cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    server_after = await server_cpu_s(clients)
    if server_before is not None and server_after is not None and server_after >= server_before:
        usage.server_cpu_s = server_after - server_before
