"""Short loads at chosen rates and difficulties: a search for the highest rate, or a sweep of a surface."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from loadtest.case import Case
from loadtest.config import Generation, Subject
from loadtest.figures.probe import Found, Goal, Probe, Surface
from loadtest.figures.statistics import load_figures
from loadtest.figures.under_load import under_load
from loadtest.measure.campaign import Bench, CaseId, case_id, checked_schedule, open_bench, reference_labels
from loadtest.measure.census import Census
from loadtest.progress import Progress
from loadtest.raw import RawFiles
from loadtest.studies.rate_search import RateSearch, SearchLimits
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import constant_rate

# Of a probe that the generator did not keep up with: a busy moment of the machine is no finding.
ATTEMPTS = 3

Censuses = Mapping[CaseId, Census]


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """`load` holds what all probes share; its rate is not used, its duration is that of one probe."""

    subject: Subject
    load: LoadConfig
    goal: Goal = field(default_factory=Goal)
    limits: SearchLimits = field(default_factory=SearchLimits)
    generation: Generation = field(default_factory=Generation)


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """As `SearchConfig`, at each of `rates` and `hard_shares`; None for a share is as the samples are."""

    subject: Subject
    load: LoadConfig
    goal: Goal = field(default_factory=Goal)
    rates: tuple[float, ...]
    hard_shares: tuple[float | None, ...] = (None,)
    generation: Generation = field(default_factory=Generation)


async def run_search(config: SearchConfig, progress: Progress, raw: RawFiles) -> tuple[Found, ...]:
    async with open_bench(config.subject, config.generation, progress) as opened:
        bench = await opened.ranked(is_dialled=config.load.is_dialled)
        censuses = await _censuses(bench, raw)
        return tuple([await _find(bench, case, config, censuses, raw) for case in bench.cases])


async def _find(bench: Bench, case: Case, config: SearchConfig, censuses: Censuses, raw: RawFiles) -> Found:
    """Each probe has a seed of its own, so that a confirming run is more than a repetition. One that the
    generator may have spoilt is sent again before it counts."""
    search, probes = RateSearch(config.limits), list[Probe]()
    while (following := search.try_next()) is not None:
        rate, phase = following
        for attempt in range(1, ATTEMPTS + 1):
            load = replace(config.load, rate=constant_rate(rate), seed=config.load.seed + len(probes))
            probe = await _probe(bench, case, load, config.goal, censuses, phase, raw)
            probes.append(replace(probe, counts=probe.is_valid or attempt == ATTEMPTS))
            if probe.is_valid:
                break
        search.tell(holds=probes[-1].is_good and probes[-1].is_valid)
    return Found(case=case, probes=tuple(probes), rate=search.found, failed_rate=search.failed)


async def run_sweep(config: SweepConfig, progress: Progress, raw: RawFiles) -> Surface:
    """Cells one after the other, in an order drawn, and in each the contenders in an order drawn."""
    is_dialled = config.load.is_dialled or any(share is not None for share in config.hard_shares)
    generator = np.random.default_rng(config.load.seed)
    cells = [(rate, share) for rate in config.rates for share in config.hard_shares]
    async with open_bench(config.subject, config.generation, progress) as opened:
        bench = await opened.ranked(is_dialled=is_dialled)
        censuses, probes = await _censuses(bench, raw), list[Probe]()
        for cell in generator.permutation(len(cells)).tolist():
            rate, share = cells[cell]
            load = replace(config.load, rate=constant_rate(rate), hard_share=share)
            for which in generator.permutation(len(bench.cases)).tolist():
                case = bench.cases[which]
                probes.append(await _probe(bench, case, load, config.goal, censuses, "sweep", raw))
    return Surface(rates=config.rates, hard_shares=config.hard_shares, probes=tuple(probes))


async def _censuses(bench: Bench, raw: RawFiles) -> Censuses:
    censuses = {}
    for case in bench.cases:
        censuses[case_id(case)] = await bench.census(case)
        raw.save_census(censuses[case_id(case)])
    return censuses


async def _probe(
    bench: Bench,
    case: Case,
    load: LoadConfig,
    goal: Goal,
    censuses: Censuses,
    phase: str,
    raw: RawFiles,
) -> Probe:
    # All of it is one block.
    load = replace(load, block_s=load.duration_s)
    schedule = checked_schedule(load, bench)
    measured = await bench.load(case, schedule, load)
    share = "" if load.hard_share is None else f"-hard-{load.hard_share:g}"
    raw.save_load(case, measured.samples, f"{phase}-{load.rate.mean:g}{share}-{load.seed}")
    figures = load_figures(measured.samples, load.duration_s, measured.usage, measured.server, case.cascade)
    under = under_load(
        case,
        measured.samples,
        bench.samples,
        goal.latency_ms,
        censuses[case_id(case)].rows.label,
        reference_labels(bench.cases, censuses, case),
    )
    return Probe(
        case=case,
        rate=load.rate.mean,
        hard_share=load.hard_share,
        phase=phase,
        load=figures,
        under_load=under,
        missed=goal.missed(figures, under),
    )
