"""Generates load in this process: bodies made beforehand, connections warm, the collector quiet."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loadtest.bounds import MAX_BODY_BYTES
from loadtest.case import Case
from loadtest.config import CapacityConfig
from loadtest.generator.closed_loop import ClosedLoopRun, run_closed_loop
from loadtest.generator.load_samples import LoadSamples, load_samples
from loadtest.generator.open_loop import Settled, run_open_loop
from loadtest.generator.usage import GeneratorUsage, measured_usage
from loadtest.progress import Watch
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.samples import Samples
from loadtest.traffic.schedule import Schedule, draw_rows
from loadtest.wire.client import Ask, Client, Request
from loadtest.wire.served import LEAN_OUTPUTS
from loadtest.wire.targets import Target

# Enough bodies for the closed loop to cycle through without meeting a cache's idea of a workload.
CAPACITY_BODIES = 256
# So that the first requests of a block meet open connections and warm code. A load that needs more
# connections at once opens the others as it goes, and that counts in its latency.
WARM_UP_REQUESTS = 8
WARM_UP_S = 2.0

Advance = Callable[[int], object]
Clients = Mapping[tuple[Target, str], Client]


@dataclass(frozen=True)
class LoadRun:
    samples: LoadSamples
    usage: GeneratorUsage


@dataclass(frozen=True)
class CapacityRun:
    counts: ClosedLoopRun
    usage: GeneratorUsage


class PreparedLoad(Protocol):
    async def run(self, watch: Watch) -> LoadRun: ...


class PreparedSaturation(Protocol):
    async def run(self, advance: Advance) -> CapacityRun: ...


class Generator(Protocol):
    """One block of one case at a time: first all is made ready, then what is measured runs."""

    async def prepare(self, case: Case, schedule: Schedule, load: LoadConfig, block: int) -> PreparedLoad: ...

    async def prepare_saturation(
        self, case: Case, capacity: CapacityConfig, seed: int
    ) -> PreparedSaturation: ...


@dataclass(frozen=True)
class LocalLoad:
    """A block whose bodies are made and whose connections are warm: all that is left is to send."""

    client: Client
    case: Case
    schedule: Schedule
    load: LoadConfig
    block: int
    requests: list[Request]

    async def run(self, watch: Watch) -> LoadRun:
        return await self.run_at(watch.settled)

    async def run_at(self, settled: Settled, start: float | None = None) -> LoadRun:
        """`start` as in `run_open_loop`."""
        with _quiet_collector():
            run = await run_open_loop(self.client, self.requests, self.schedule, self.load, settled, start)
        samples = load_samples(run, self.schedule, self.client, self.case.served, self.block)
        return LoadRun(samples, run.usage)


@dataclass(frozen=True)
class LocalSaturation:
    client: Client
    capacity: CapacityConfig
    requests: list[Request]

    async def run(self, advance: Advance) -> CapacityRun:
        with _quiet_collector(), measured_usage() as usage:
            counts = await run_closed_loop(self.client, self.requests, self.capacity, advance)
        return CapacityRun(counts, usage)


class LocalGenerator:
    def __init__(self, clients: Clients, samples: Samples) -> None:
        self._clients = clients
        self._samples = samples

    async def prepare(self, case: Case, schedule: Schedule, load: LoadConfig, block: int) -> LocalLoad:
        client, requests = self._clients[case.key], self._requests(case, list(schedule), load.deadline_us)
        await _make_ready(client, requests)
        return LocalLoad(client, case, schedule, load, block, requests)

    async def prepare_saturation(self, case: Case, capacity: CapacityConfig, seed: int) -> LocalSaturation:
        """As many bodies as memory bears."""
        body_bytes = capacity.rows_per_request * self._samples.bytes_per_row
        number = max(1, min(CAPACITY_BODIES, int(MAX_BODY_BYTES / body_bytes)))
        pool, generator = np.arange(len(self._samples)), np.random.default_rng(seed)
        rows = draw_rows(number * capacity.rows_per_request, pool, generator)
        client = self._clients[case.key]
        requests = self._requests(case, list(rows.reshape(number, capacity.rows_per_request)))
        await _make_ready(client, requests)
        return LocalSaturation(client, capacity, requests)

    def _requests(
        self, case: Case, parts: Sequence[NDArray[np.int64]], timeout_us: int | None = None
    ) -> list[Request]:
        """Bodies of all requests; those of the same rows are one object."""
        client, outputs = self._clients[case.key], case.served.asked(LEAN_OUTPUTS)
        distinct: dict[bytes, Request] = {}
        requests = []
        for part in parts:
            key = part.tobytes()
            if key not in distinct:
                inputs = self._samples.take(part)
                ask = Ask(inputs=inputs, outputs=outputs, policy=case.policy, timeout_us=timeout_us)
                distinct[key] = client.encode(ask)
            requests.append(distinct[key])
        return requests


async def _make_ready(client: Client, requests: Sequence[Request]) -> None:
    """Whatever fails here fails again where it counts."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WARM_UP_S):
            await asyncio.gather(*(client.send(request) for request in requests[:WARM_UP_REQUESTS]))
    gc.collect()


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Objects made so far are left out of garbage collection, whose pauses would show as lag."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
