"""Several generator processes beside each other, for loads that one core can't make.

Each has the whole samples and every n-th request of a block. They make their bodies, say that they are
ready, and begin at one time of the machine's monotonic clock.
"""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from loadtest.case import Case
from loadtest.config import CapacityConfig
from loadtest.errors import GeneratorError
from loadtest.generator.closed_loop import added
from loadtest.generator.load_samples import interleaved
from loadtest.generator.local import Advance, CapacityRun, LoadRun
from loadtest.generator.process import serve
from loadtest.generator.usage import busiest
from loadtest.progress import Watch
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.samples import Samples
from loadtest.traffic.schedule import Schedule
from loadtest.wire.options import WireOptions

# For all processes to hear of the start before it.
LEAD_S = 0.2
STOP_S = 5.0


class Crew:
    """The processes, spoken to all at once."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections

    def __len__(self) -> int:
        return len(self._connections)

    def tell(self, messages: Sequence[object]) -> None:
        """Each its own."""
        for connection, message in zip(self._connections, messages, strict=True):
            try:
                connection.send(message)
            except OSError:
                raise GeneratorError("a generator process ended") from None

    async def hear(self) -> list[Any]:
        return [await asyncio.to_thread(_hear, connection) for connection in self._connections]

    async def start(self) -> list[Any]:
        """All at one time; what they measured."""
        self.tell([time.perf_counter() + LEAD_S] * len(self))
        return await self.hear()


def _hear(connection: Connection) -> Any:
    try:
        heard = connection.recv()
    except (EOFError, OSError):
        raise GeneratorError("a generator process ended") from None
    if isinstance(heard, BaseException):
        raise GeneratorError(f"a generator process failed ({heard!r})")
    return heard


@dataclass(frozen=True)
class SharedLoad:
    """The processes tell nothing before a block is done."""

    crew: Crew
    num_requests: int

    async def run(self, watch: Watch) -> LoadRun:
        runs: list[LoadRun] = await self.crew.start()
        watch.advance(self.num_requests)
        return LoadRun(interleaved([run.samples for run in runs]), busiest([run.usage for run in runs]))


@dataclass(frozen=True)
class SharedSaturation:
    crew: Crew

    async def run(self, advance: Advance) -> CapacityRun:
        runs: list[CapacityRun] = await self.crew.start()
        return CapacityRun(added([run.counts for run in runs]), busiest([run.usage for run in runs]))


class ProcessGenerator:
    """See `local.Generator`."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    async def prepare(self, case: Case, schedule: Schedule, load: LoadConfig, block: int) -> SharedLoad:
        number = len(self._crew)
        slots = _shares(load.max_in_flight, number)
        parts = [schedule.taken(slice(i, None, number)) for i in range(number)]
        self._crew.tell(
            [
                ("load", (case, part, replace(load, max_in_flight=slot), block))
                for part, slot in zip(parts, slots, strict=True)
            ]
        )
        await self._crew.hear()
        return SharedLoad(self._crew, len(schedule))

    async def prepare_saturation(self, case: Case, capacity: CapacityConfig, seed: int) -> SharedSaturation:
        slots = _shares(capacity.in_flight, len(self._crew))
        self._crew.tell(
            [
                ("saturate", (case, replace(capacity, in_flight=slot), seed + number))
                for number, slot in enumerate(slots)
            ]
        )
        await self._crew.hear()
        return SharedSaturation(self._crew)


def _shares(total: int, number: int) -> list[int]:
    """As even as whole numbers can be, which add up to the total."""
    return [total // number + (i < total % number) for i in range(number)]


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
        crew = Crew([connection for _, connection in started])
        await crew.hear()
        yield ProcessGenerator(crew)
    except BaseException:
        # At once, whatever they are sending.
        for process, _ in started:
            process.terminate()
        raise
    finally:
        _end(started)


def _end(started: Sequence[tuple[SpawnProcess, Connection]]) -> None:
    """A process ends when its connection does."""
    for _, connection in started:
        connection.close()
    deadline = time.monotonic() + STOP_S
    for process, _ in started:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
