"""The whole of a comparison, phase by phase: census, load and capacity of each contender."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import Cascade
from loadtest.bounds import MAX_BODY_BYTES
from loadtest.case import Case
from loadtest.config import CapacityConfig, Config, Generation, Subject
from loadtest.errors import ConfigError
from loadtest.generator.closed_loop import ClosedLoopRun
from loadtest.generator.load_samples import LoadSamples, joined
from loadtest.generator.local import Clients, Generator, LocalGenerator
from loadtest.generator.processes import generator_processes
from loadtest.generator.usage import GeneratorUsage, summed
from loadtest.measure import server_usage
from loadtest.measure.blocks import draw_blocks, num_blocks
from loadtest.measure.census import Census, take_census
from loadtest.measure.contenders import baseline, check_contender, fetch_cases
from loadtest.measure.hardness import rank_samples
from loadtest.measure.server_usage import ServerUsage, measured_server
from loadtest.progress import Progress
from loadtest.raw import RawFiles
from loadtest.traffic.difficulty import Ranks, check_dial
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.samples import Samples, read_samples
from loadtest.traffic.schedule import Schedule, draw_schedule
from loadtest.wire.client import Client
from loadtest.wire.clients import open_clients

# Saturation too is measured in turns.
CAPACITY_TURNS = 3

CaseId = tuple[str, str]
"""A contender, and over what it was driven."""


@dataclass(frozen=True)
class Load:
    """All blocks of one case together. `usage` is of the busiest generator process."""

    samples: LoadSamples
    usage: GeneratorUsage
    server: ServerUsage


@dataclass(frozen=True)
class Capacity:
    """The turns of one case."""

    turns: tuple[ClosedLoopRun, ...]
    usage: GeneratorUsage
    server: ServerUsage


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """All that was asked and measured, nothing yet computed from it."""

    config: Config
    cases: tuple[Case, ...]
    baseline: str
    samples: Samples
    ood: Samples | None
    schedule: Schedule
    censuses: Mapping[CaseId, Census]
    loads: Mapping[CaseId, Load]
    capacities: Mapping[CaseId, Capacity]

    @property
    def offered_s(self) -> float:
        """The length of the schedule."""
        return schedule_s(self.config.load, self.schedule)

    @property
    def num_blocks(self) -> int:
        """Equally long; one may hold no request."""
        return num_blocks(self.offered_s, self.config.load.block_s)

    @property
    def block_s(self) -> float:
        return self.offered_s / self.num_blocks

    @property
    def contenders(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(case.contender for case in self.cases))

    @property
    def overs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(case.over for case in self.cases))

    def of(self, contender: str) -> Case:
        """Its first case."""
        return next(case for case in self.cases if case.contender == contender)

    @property
    def cascade(self) -> Cascade | None:
        """The first that is driven."""
        return next((case.cascade for case in self.cases if case.cascade), None)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is tested and by what: all that a measurement needs, opened and checked."""

    subject: Subject
    clients: Clients
    generator: Generator
    cases: tuple[Case, ...]
    samples: Samples
    ood: Samples | None
    progress: Progress
    ranks: Ranks | None = None

    async def load(self, case: Case, schedule: Schedule, load: LoadConfig, block: int = 0) -> Load:
        """One spell, all requests settled."""
        rate = "" if load.trace else f" at {load.rate.text}/s"
        name = f"load      {case.name}{rate}"
        with self.progress.load(name, len(schedule)) as watch:
            prepared = await self.generator.prepare(case, schedule, load, block)
            async with measured_server(*self._server_of(case)) as server:
                run = await prepared.run(watch)
        return Load(run.samples, run.usage, server)

    async def ranked(self, *, is_dialled: bool) -> "Bench":
        """With the difficulty of each sample, where it matters. A cascade's first stage is asked before a
        plain model."""
        if not is_dialled:
            return self
        case = next((case for case in self.cases if case.cascade), self.cases[0])
        client, calibration = self.clients[case.key], self.subject.calibration
        with self.progress.phase("difficulty", len(self.samples), "row") as advance:
            ranks = await rank_samples(client, case, self.samples, calibration, advance)
        return replace(self, ranks=ranks)

    async def census(self, case: Case) -> Census:
        total = len(self.samples) + (len(self.ood) if self.ood else 0)
        with self.progress.phase(f"census    {case.name}", total, "row") as advance:
            return await take_census(self.clients[case.key], case, self.samples, self.ood, advance)

    async def saturate(self, case: Case, capacity: CapacityConfig, seed: int) -> Capacity:
        with self.progress.phase(f"capacity  {case.name}", None, "request") as advance:
            prepared = await self.generator.prepare_saturation(case, capacity, seed)
            async with measured_server(*self._server_of(case)) as server:
                run = await prepared.run(advance)
        return Capacity((run.counts,), run.usage, server)

    def _server_of(self, case: Case) -> tuple[Client, ...]:
        """The case's client, and those of other protocols: where each target of one host speaks another
        protocol and serves the same, all are taken for one server."""
        targets = self.subject.targets
        is_one_server = (
            len({target.protocol for target in targets}) == len(targets)
            and len({target.host for target in targets}) == 1
            and len({case.key for case in self.cases}) == len(targets) * len(self.subject.models)
        )
        others = [client for key, client in self.clients.items() if is_one_server and key != case.key]
        return self.clients[case.key], *others


@asynccontextmanager
async def open_bench(subject: Subject, generation: Generation, progress: Progress) -> AsyncIterator[Bench]:
    """Everything that can be refused of the subject is refused before the first request for inference."""
    async with open_clients(subject.targets, subject.models, subject.wire) as clients:
        cases = await fetch_cases(clients, subject)
        inputs = cases[0].served.inputs
        classes = next((case.served.num_classes for case in cases if case.served.num_classes), None)
        samples = read_samples(subject.samples, inputs, classes)
        ood = read_samples(subject.ood, inputs, classes, is_labelled=False) if subject.ood else None
        async with _generator(generation, cases, samples, clients, subject) as generator:
            yield Bench(
                subject=subject,
                clients=clients,
                generator=generator,
                cases=cases,
                samples=samples,
                ood=ood,
                progress=progress,
            )


@asynccontextmanager
async def _generator(
    generation: Generation, cases: Sequence[Case], samples: Samples, clients: Clients, subject: Subject
) -> AsyncIterator[Generator]:
    if generation.processes == 1:
        yield LocalGenerator(clients, samples)
    else:
        async with generator_processes(generation.processes, cases, samples, subject.wire) as generator:
            yield generator


async def run_campaign(config: Config, progress: Progress, raw: RawFiles) -> Campaign:
    """What was measured goes to `raw` as soon as it is there."""
    load = config.load
    async with open_bench(config.subject, config.generation, progress) as opened:
        compared = baseline(opened.cases, config.baseline)
        for name in config.asserted:
            check_contender(opened.cases, name, "--assert")
        bench = await opened.ranked(is_dialled=load.is_dialled)
        schedule = checked_schedule(load, bench)
        censuses = {}
        for case in bench.cases:
            censuses[case_id(case)] = await bench.census(case)
            raw.save_census(censuses[case_id(case)])
        raw.save_schedule(schedule)
        return Campaign(
            config=config,
            cases=bench.cases,
            baseline=compared,
            samples=bench.samples,
            ood=bench.ood,
            schedule=schedule,
            censuses=censuses,
            loads=await _in_turns(bench, load, schedule, raw),
            capacities=await _saturated(bench, config.capacity, load.seed),
        )


def case_id(case: Case) -> CaseId:
    return case.contender, case.over


def reference_labels(
    cases: Sequence[Case], censuses: Mapping[CaseId, Census], case: Case
) -> NDArray[np.int64] | None:
    """What a contender that runs all members of the same model answers; None where nobody ran them."""
    own = (each for each in cases if each.runs_all and each.served.name == case.served.name)
    chosen = next(own, None)
    return None if chosen is None else censuses[case_id(chosen)].rows.label


def checked_schedule(load: LoadConfig, bench: Bench) -> Schedule:
    if load.is_dialled:
        assert bench.ranks is not None
        check_dial(bench.ranks, load.hard_share, has_bursts=load.hard_bursts is not None)
    schedule = draw_schedule(load, len(bench.samples), bench.ranks)
    num_bytes = len(schedule.rows) * bench.samples.bytes_per_row
    share = min(1.0, load.block_s / max(schedule.intended_s[-1], load.block_s))
    if num_bytes * share > MAX_BODY_BYTES and load.rows_per_request.most > 1:
        raise ConfigError(
            f"a block of --block-seconds {load.block_s:g} needs {num_bytes * share / 2**30:.1f} GiB of "
            f"bodies; {MAX_BODY_BYTES / 2**30:g} GiB are allowed"
        )
    return schedule


async def _in_turns(bench: Bench, load: LoadConfig, schedule: Schedule, raw: RawFiles) -> dict[CaseId, Load]:
    parts: dict[CaseId, list[Load]] = {case_id(case): [] for case in bench.cases}
    for block in draw_blocks(schedule_s(load, schedule), load.block_s, bench.cases, load.seed):
        spell = schedule.between(block.begin_s, block.end_s)
        if len(spell):
            part = parts[case_id(block.case)]
            part.append(await bench.load(block.case, spell, load, block.number))
            raw.save_block(block.case, block.number, part[-1].samples)
    loads = {key: _together(each) for key, each in parts.items()}
    for case in bench.cases:
        raw.join_blocks(case, loads[case_id(case)].samples)
    return loads


def schedule_s(load: LoadConfig, schedule: Schedule) -> float:
    """A trace ends with its last request."""
    return load.duration_s if load.trace is None else float(np.nextafter(schedule.intended_s[-1], np.inf))


def _together(parts: Sequence[Load]) -> Load:
    return Load(
        joined([part.samples for part in parts]),
        summed([part.usage for part in parts]),
        server_usage.summed([part.server for part in parts]),
    )


async def _saturated(bench: Bench, capacity: CapacityConfig, seed: int) -> dict[CaseId, Capacity]:
    if capacity.seconds == 0:
        return {}
    turn = replace(capacity, seconds=capacity.seconds / CAPACITY_TURNS)
    parts: dict[CaseId, list[Capacity]] = {case_id(case): [] for case in bench.cases}
    for block in draw_blocks(CAPACITY_TURNS, 1.0, bench.cases, seed + 1):
        parts[case_id(block.case)].append(await bench.saturate(block.case, turn, seed + block.number))
    return {
        key: Capacity(
            tuple(turn for part in each for turn in part.turns),
            summed([part.usage for part in each]),
            server_usage.summed([part.server for part in each]),
        )
        for key, each in parts.items()
    }
