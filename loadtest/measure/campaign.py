"""The whole of a load test, phase by phase: census, load and capacity of each policy over each protocol."""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import Cascade
from loadtest.config import Config
from loadtest.errors import ConfigError
from loadtest.generator.closed_loop import ClosedLoopRun, run_closed_loop
from loadtest.generator.load_samples import LoadSamples, load_samples
from loadtest.generator.open_loop import run_open_loop
from loadtest.generator.usage import Usage, measured_usage
from loadtest.measure.census import Census, take_census
from loadtest.progress import Progress
from loadtest.raw import RawFiles
from loadtest.traffic.samples import Samples, read_samples
from loadtest.traffic.schedule import Schedule, draw_rows, draw_schedule
from loadtest.wire.client import LEAN_OUTPUTS, Client, Request
from loadtest.wire.clients import chosen_policies, fetch_cascade, open_clients

# Enough bodies for the closed loop to cycle through without meeting a cache's idea of a workload.
CAPACITY_BODIES = 256
# So that the first requests of the load meet open connections and warm code. A load that needs more
# connections at once opens the others as it goes, and that counts in its latency.
WARM_UP_REQUESTS = 8
WARM_UP_S = 2.0
# Bodies of one run are all made beforehand, and must fit in memory.
MAX_BODY_BYTES = 1 << 30

Case = tuple[str, str]
"""A policy and a protocol."""


@dataclass(frozen=True)
class LoadRun:
    samples: LoadSamples
    usage: Usage
    first_failure: str = ""


@dataclass(frozen=True)
class CapacityRun:
    counts: ClosedLoopRun
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """All that was asked and measured, nothing yet computed from it."""

    config: Config
    cascade: Cascade
    policies: tuple[str, ...]
    samples: Samples
    ood: Samples | None
    schedule: Schedule
    censuses: dict[Case, Census]
    loads: dict[Case, LoadRun]
    capacities: dict[Case, CapacityRun]

    @property
    def protocols(self) -> tuple[str, ...]:
        return tuple(target.protocol for target in self.config.targets)

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple((policy, protocol) for policy in self.policies for protocol in self.protocols)


async def run_campaign(config: Config, progress: Progress, raw: RawFiles) -> Campaign:
    """Everything that can be refused is refused before the first request for inference; what was measured
    goes to `raw` as soon as it is there."""
    async with open_clients(config.targets, config.model) as clients:
        cascade = await fetch_cascade(clients, config.model)
        policies = chosen_policies(cascade, config.policies)
        classes = len(cascade.classes)
        samples = read_samples(config.samples, cascade.inputs, classes)
        ood = read_samples(config.ood, cascade.inputs, classes, is_labelled=False) if config.ood else None
        _check_size(config, samples)
        schedule = draw_schedule(config.load, len(samples))
        bench = _Bench(config, clients, samples, ood, schedule, progress, raw)
        cases = [(policy, client) for policy in policies for client in clients]
        saturated = cases if config.capacity.seconds else []
        censuses = {_key(*case): await bench.census(*case) for case in cases}
        raw.save_schedule(schedule)
        return Campaign(
            config=config,
            cascade=cascade,
            policies=policies,
            samples=samples,
            ood=ood,
            schedule=schedule,
            censuses=censuses,
            loads={_key(*case): await bench.load(*case) for case in cases},
            capacities={_key(*case): await bench.capacity(*case) for case in saturated},
        )


def _check_size(config: Config, samples: Samples) -> None:
    num_rows = config.load.rate * config.load.duration_s * config.load.rows_per_request
    num_bytes = num_rows * samples.bytes_per_row
    if num_bytes > MAX_BODY_BYTES and config.load.rows_per_request > 1:
        raise ConfigError(
            f"--rate {config.load.rate:g} for --duration {config.load.duration_s:g} in requests of "
            f"{config.load.rows_per_request} rows needs {num_bytes / 2**30:.1f} GiB of bodies; "
            f"{MAX_BODY_BYTES / 2**30:g} GiB are allowed"
        )


def _key(policy: str, client: Client) -> Case:
    return policy, client.target.protocol


@dataclass(frozen=True)
class _Bench:
    """What the three measurements share."""

    config: Config
    clients: Sequence[Client]
    samples: Samples
    ood: Samples | None
    schedule: Schedule
    progress: Progress
    raw: RawFiles

    async def census(self, policy: str, client: Client) -> Census:
        total = len(self.samples) + (len(self.ood) if self.ood else 0)
        with self.progress.phase(f"census    {_name(policy, client)}", total, "row") as advance:
            census = await take_census(client, policy, self.samples, self.ood, advance)
        self.raw.save_census(census)
        return census

    async def load(self, policy: str, client: Client) -> LoadRun:
        requests = self._requests(client, policy, self.schedule.rows)
        await _warm_up(client, requests)
        with (
            self.progress.phase(f"load      {_name(policy, client)}", len(requests), "request") as advance,
            _quiet_collector(),
        ):
            async with measured_usage(self.clients) as usage:
                run = await run_open_loop(client, requests, self.schedule, self.config.load, advance)
        failures = (reply.detail for reply in run.replies if reply.detail)
        samples = load_samples(run, client)
        self.raw.save_load(policy, client.target.protocol, samples)
        return LoadRun(samples, usage, next(failures, "an answer that can't be read"))

    async def capacity(self, policy: str, client: Client) -> CapacityRun:
        capacity = self.config.capacity
        generator = np.random.default_rng(self.config.load.seed)
        rows = draw_rows(CAPACITY_BODIES, capacity.rows_per_request, len(self.samples), generator)
        requests = self._requests(client, policy, rows)
        await _warm_up(client, requests)
        with (
            self.progress.phase(f"capacity  {_name(policy, client)}", None, "request") as advance,
            _quiet_collector(),
        ):
            async with measured_usage(self.clients) as usage:
                counts = await run_closed_loop(client, requests, capacity, advance)
        return CapacityRun(counts, usage)

    def _requests(self, client: Client, policy: str, rows: NDArray[np.int64]) -> list[Request]:
        """Bodies of all requests; those of the same rows are one object."""
        distinct = {
            part.tobytes(): client.encode(policy, self.samples.take(part), LEAN_OUTPUTS)
            for part in np.unique(rows, axis=0)
        }
        return [distinct[part.tobytes()] for part in rows]


async def _warm_up(client: Client, requests: Sequence[Request]) -> None:
    """Whatever fails here fails again where it counts."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WARM_UP_S):
            await asyncio.gather(*(client.send(request) for request in requests[:WARM_UP_REQUESTS]))


def _name(policy: str, client: Client) -> str:
    return f"{policy} over {client.target.protocol}"


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Objects made so far are left out of garbage collection, whose pauses would show as lag."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
