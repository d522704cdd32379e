"""What a plan is made of, measured: exit shares, service curves, the router's own time; and its check."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadtest.case import Case
from loadtest.config import CapacityConfig, Generation, Subject
from loadtest.errors import TargetError
from loadtest.figures.statistics import load_figures
from loadtest.measure.campaign import Bench, Load, checked_schedule, open_bench
from loadtest.measure.census import Census
from loadtest.plan.arrivals import Arrivals
from loadtest.plan.check import Checked, Figures, compare, predicted_figures
from loadtest.plan.errors import Unattainable
from loadtest.plan.overhead import overhead_samples_s
from loadtest.plan.pipeline import Pipeline, cascade_pipeline
from loadtest.plan.replicas import Comparison, Demand, Objective, plan_with_full
from loadtest.plan.service_curve import ServiceCurve, member_curves
from loadtest.plan.simulated import Simulated
from loadtest.plan.simulation import simulate
from loadtest.progress import Progress
from loadtest.raw import RawFiles
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import constant_rate
from loadtest.traffic.schedule import Schedule, draw_schedule
from loadtest.wire.model_statistics import ModelStatistics, total

# From a lone client, whose batches are as small as they come, to queues that fill the largest.
LEARNING_IN_FLIGHT = (1, 4, 16, 64)
# That exit shares are taken of.
EXIT_ROWS = 50_000


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """`workers` is how many batches the server that is measured runs at once, of whatever members; None
    where each member there has a replica of its own; `max_batch_rows` go into a batch at most. `learning_s`
    is spent at each of a few concurrencies, and at `calm_rate`, where nothing waits; then `check_rates` are
    predicted and measured."""

    subject: Subject
    load: LoadConfig
    demand: Demand
    objective: Objective
    workers: int | None = 2
    max_batch_rows: int = 32
    learning_s: float = 3.0
    calm_rate: float = 20.0
    check_rates: tuple[float, ...] = ()
    max_replicas: int = 64


@dataclass(frozen=True, kw_only=True)
class CheckedRate:
    """`rate` in requests a second; `is_valid` whether the generator kept up."""

    rate: float
    lines: tuple[Checked, ...]
    is_valid: bool


@dataclass(frozen=True, kw_only=True)
class Planned:
    """`curves` are of the members, `exits` shares of all rows per stage."""

    case: Case
    demand: Demand
    objective: Objective
    exits: tuple[float, ...]
    curves: Mapping[str, ServiceCurve]
    pipeline: Pipeline
    comparison: Comparison
    checks: tuple[CheckedRate, ...]


async def run_plan(config: PlanConfig, progress: Progress, raw: RawFiles) -> Planned:
    async with open_bench(config.subject, Generation(), progress) as opened:
        bench = await opened.ranked(is_dialled=config.load.is_dialled)
        case = bench.cases[0]
        if case.cascade is None:
            raise TargetError(f"{case.served.name!r} is no cascade, and has no stages to plan for")
        census = await bench.census(case)
        raw.save_census(census)
        curves = await _learn(bench, config, case)
        exits = _exits(bench, census, config.load)
        pipeline = _pipeline(config, case, curves, exits)
        pipeline = await _with_overhead(bench, config, case, pipeline, raw)
        comparison = plan_with_full(
            pipeline, config.demand, config.objective, max_replicas=config.max_replicas
        )
        checks = [await _check(bench, config, case, pipeline, rate, raw) for rate in config.check_rates]
    return Planned(
        case=case,
        demand=config.demand,
        objective=config.objective,
        exits=exits,
        curves=curves,
        pipeline=pipeline,
        comparison=comparison,
        checks=tuple(checks),
    )


def _exits(bench: Bench, census: Census, load: LoadConfig) -> tuple[float, ...]:
    """Of the rows that the load draws, as hard as its dial says."""
    long = replace(load, rate=constant_rate(EXIT_ROWS / load.duration_s))
    exit_stage = census.rows.exit_stage[draw_schedule(long, len(bench.samples), bench.ranks).rows]
    counts = np.bincount(exit_stage, minlength=census.case.served.num_stages + 1)[1:]
    return tuple((counts / counts.sum()).tolist())


def _pipeline(
    config: PlanConfig, case: Case, curves: Mapping[str, ServiceCurve], exits: tuple[float, ...]
) -> Pipeline:
    assert case.cascade is not None
    return cascade_pipeline(
        case.cascade.stages,
        curves,
        exits,
        num_workers=config.workers,
        max_batch_rows=config.max_batch_rows,
    )


async def _learn(bench: Bench, config: PlanConfig, case: Case) -> dict[str, ServiceCurve]:
    """By closed loops of the policy, and of one that runs all members where there is one, since late members
    see few rows otherwise."""
    assert case.cascade is not None
    full = next((name for name, policy in case.cascade.policies.items() if policy.kind == "full"), None)
    others = [] if full is None else [replace(case, policy=full, contender=full)]
    seen: list[Mapping[str, ModelStatistics]] = []
    for learnt in (case, *others):
        for in_flight in LEARNING_IN_FLIGHT:
            capacity = CapacityConfig(
                seconds=config.learning_s,
                in_flight=in_flight,
                rows_per_request=config.demand.rows_per_request,
            )
            measured = await bench.saturate(learnt, capacity, config.load.seed)
            if measured.server.statistics is None:
                raise TargetError(f"{case.target.url} tells no statistics to plan by")
            seen.append(measured.server.statistics)
    return member_curves(total(seen), [member.name for member in case.cascade.members])


async def _with_overhead(
    bench: Bench, config: PlanConfig, case: Case, pipeline: Pipeline, raw: RawFiles
) -> Pipeline:
    """What a calm request takes beyond its members, drawn from as it was seen."""
    measured, schedule = await _measured(bench, config, case, config.calm_rate, raw)
    latency_s = measured.samples.requests.latency_ms / 1e3
    _check_calm(latency_s, config)
    calm = simulate(pipeline, _arrivals(schedule), config.load.seed)
    return replace(pipeline, overhead_s=overhead_samples_s(latency_s[np.isfinite(latency_s)], calm))


def _check_calm(latency_s: NDArray[np.float64], config: PlanConfig) -> None:
    percent, limit_s = config.objective.percent, config.objective.limit_s
    took_s = float(np.percentile(latency_s, percent, method="inverted_cdf"))
    if took_s > limit_s:
        raise Unattainable(
            f"p{percent:g} is {took_s * 1e3:.4g} ms at {config.calm_rate:g} requests/s already, above the "
            f"{limit_s * 1e3:g} ms allowed: no number of replicas helps (is this machine busy?)"
        )


async def _check(
    bench: Bench, config: PlanConfig, case: Case, pipeline: Pipeline, rate: float, raw: RawFiles
) -> CheckedRate:
    """As the server is now, on the arrivals that it really gets."""
    measured, schedule = await _measured(bench, config, case, rate, raw)
    predicted = simulate(pipeline, _arrivals(schedule), config.load.seed)
    figures = load_figures(
        measured.samples, config.load.duration_s, measured.usage, measured.server, case.cascade
    )
    member_ms = figures.server.member_ms
    seen = Figures(
        p50_ms=figures.latency.p50_ms,
        p90_ms=figures.latency.p90_ms,
        p99_ms=figures.latency.p99_ms,
        member_ms_per_row=None if member_ms is None else sum(member_ms.values()),
    )
    return CheckedRate(
        rate=rate, lines=compare(_without_rate(predicted), seen), is_valid=figures.generator.is_valid
    )


def _without_rate(simulated: Simulated) -> Figures:
    """Both are offered the same rows a second, so that nothing is checked by comparing these."""
    return replace(predicted_figures(simulated), rows_per_s=None)


async def _measured(
    bench: Bench, config: PlanConfig, case: Case, rate: float, raw: RawFiles
) -> tuple[Load, Schedule]:
    load = replace(config.load, rate=constant_rate(rate), block_s=config.load.duration_s)
    schedule = checked_schedule(load, bench)
    measured = await bench.load(case, schedule, load)
    raw.save_load(case, measured.samples, f"load-{rate:g}")
    return measured, schedule


def _arrivals(schedule: Schedule) -> Arrivals:
    return Arrivals(times_s=schedule.intended_s, rows=schedule.num_rows)
