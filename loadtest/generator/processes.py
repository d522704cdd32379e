"""Several generator processes beside each other, for loads that one core can't make.

Each has the whole samples and every n-th request of a block. They make their bodies, say that they are
ready, and begin at one time of the machine's monotonic clock.
"""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from loadtest.case import Case
from loadtest.config import CapacityConfig, LoadConfig
from loadtest.errors import GeneratorError
from loadtest.generator.closed_loop import added
from loadtest.generator.load_samples import interleaved
from loadtest.generator.local import Advance, CapacityRun, LoadRun
from loadtest.generator.process import READY, serve
from loadtest.generator.usage import busiest
from loadtest.progress import Watch
from loadtest.traffic.samples import Samples
from loadtest.traffic.schedule import Schedule
from loadtest.wire.options import WireOptions

# For all processes to hear of the start before it.
LEAD_S = 0.2
STOP_S = 5.0


class ProcessGenerator:
    """See `local.Generator`. The processes tell nothing before a block is done."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections

    async def load(
        self, case: Case, schedule: Schedule, load: LoadConfig, block: int, watch: Watch
    ) -> LoadRun:
        number = len(self._connections)
        share = replace(load, max_in_flight=max(1, load.max_in_flight // number))
        self._tell_each(
            "load", [(case, schedule.taken(slice(i, None, number)), share, block) for i in range(number)]
        )
        ready = await self._hear_all()
        assert ready == [READY] * number
        self._tell_each("start", [(time.perf_counter() + LEAD_S,)] * number)
        runs: list[LoadRun] = await self._hear_all()
        watch.advance(len(schedule))
        return LoadRun(interleaved([run.samples for run in runs]), busiest([run.usage for run in runs]))

    async def saturate(
        self, case: Case, capacity: CapacityConfig, seed: int, advance: Advance
    ) -> CapacityRun:
        number = len(self._connections)
        share = replace(capacity, in_flight=max(1, capacity.in_flight // number))
        self._tell_each("saturate", [(case, share, seed + i) for i in range(number)])
        runs: list[CapacityRun] = await self._hear_all()
        return CapacityRun(added([run.counts for run in runs]), busiest([run.usage for run in runs]))

    def _tell_each(self, what: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        for connection, each in zip(self._connections, arguments, strict=True):
            connection.send((what, each))

    async def _hear_all(self) -> list[Any]:
        return [await asyncio.to_thread(_hear, connection) for connection in self._connections]


def _hear(connection: Connection) -> Any:
    try:
        heard = connection.recv()
    except (EOFError, OSError):
        raise GeneratorError("a generator process ended") from None
    if isinstance(heard, BaseException):
        raise GeneratorError(f"a generator process failed ({heard!r})")
    return heard


@asynccontextmanager
async def generator_processes(
    number: int, cases: Sequence[Case], samples: Samples, options: WireOptions
) -> AsyncIterator[ProcessGenerator]:
    """Their clients are of the targets and models of `cases`."""
    context = multiprocessing.get_context("spawn")
    keys = list(dict.fromkeys(case.key for case in cases))
    started: list[tuple[SpawnProcess, Connection]] = []
    try:
        for _ in range(number):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, keys, samples, options), daemon=True)
            process.start()
            theirs.close()
            started.append((process, ours))
        generator = ProcessGenerator([connection for _, connection in started])
        assert await generator._hear_all() == [READY] * number
        yield generator
    finally:
        await asyncio.to_thread(_end, started)


def _end(started: Sequence[tuple[SpawnProcess, Connection]]) -> None:
    """A process ends when its connection does."""
    for _, connection in started:
        connection.close()
    for process, _ in started:
        process.join(STOP_S)
        if process.is_alive():
            process.kill()
            process.join()
