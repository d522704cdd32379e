"""Probes of `tiny`, made by hand."""

import math

from cascade.intervals import Estimate
from loadtest.case import Case
from loadtest.figures.probe import Found, Goal, Probe, Surface
from loadtest.figures.statistics import GeneratorCheck, Latency, LoadFigures, ServerFigures
from loadtest.figures.under_load import UnderLoad
from loadtest.wire.served import served_cascade
from loadtest.wire.targets import parse_target
from tests.loadtest.tiny_server import tiny_cascade

GOAL = Goal()


def case(contender: str) -> Case:
    return Case(
        target=parse_target("http://127.0.0.1:1"),
        served=served_cascade(tiny_cascade()),
        policy=contender,
        contender=contender,
        over="http",
    )


def probe(
    contender: str,
    rate: float,
    *,
    p99_ms: float = 20.0,
    kept: float = 1.0,
    hard_share: float | None = None,
    phase: str = "doubling",
    lag_p99_ms: float = 0.1,
    shed: float = 0.0,
) -> Probe:
    """Accuracy is 90% of the answered, 80% of the rows leave at stage 1."""
    load, under = _load(rate, p99_ms, lag_p99_ms), _under_load(kept, shed)
    return Probe(
        case=case(contender),
        rate=rate,
        hard_share=hard_share,
        phase=phase,
        load=load,
        under_load=under,
        missed=GOAL.missed(load, under),
    )


def _load(rate: float, p99_ms: float, lag_p99_ms: float) -> LoadFigures:
    latency = Latency(num_samples=100, p50_ms=2.0, p90_ms=5.0, p99_ms=p99_ms, max_ms=p99_ms)
    return LoadFigures(
        num_requests=100,
        offered_s=100 / rate,
        statuses={"ok": 100},
        num_degraded=0,
        latency=latency,
        service=latency,
        by_exit_stage={},
        requests_per_s=rate,
        rows_per_s=rate,
        generator=GeneratorCheck(lag_p99_ms=lag_p99_ms, cpu_share=0.1),
        server=ServerFigures(cpu_ms=None, member_ms=None, queue_ms=None),
    )


def _share(value: float) -> Estimate:
    return Estimate(value, value - 0.01, value + 0.01)


def _under_load(kept: float, shed: float) -> UnderLoad:
    return UnderLoad(
        accuracy=_share(0.9 * (1 - shed)),
        answered_accuracy=_share(0.9),
        coverage=_share(0.5),
        risk=_share(0.2),
        agreement=None,
        exit_shares=(_share(0.8), _share(0.2)),
        cost=1.6,
        degraded=0.05,
        shed=shed,
        failed=0.0,
        good=0.9 * kept,
        kept=kept,
        in_time=1.0,
    )


def found(contender: str, rate: float | None, failed_rate: float | None, *probes: Probe) -> Found:
    return Found(case=case(contender), probes=probes, rate=rate, failed_rate=failed_rate)


def searched() -> list[Found]:
    """`first` holds up to 200 requests/s and was stopped by the generator, `full` up to 100."""
    return [
        found(
            "first",
            200.0,
            400.0,
            probe("first", 100.0),
            probe("first", 200.0),
            probe("first", 400.0, lag_p99_ms=7.0),
            probe("first", 200.0, phase="confirmation", p99_ms=33.0),
        ),
        found("full", 100.0, 200.0, probe("full", 100.0), probe("full", 200.0, p99_ms=math.inf, kept=0.4)),
    ]


def surface() -> Surface:
    """Driven in another order than the policies have: `full` sheds at 400 requests/s."""
    return Surface(
        rates=(100.0, 400.0),
        hard_shares=(0.25, 1.0),
        probes=(
            probe("full", 400.0, p99_ms=math.inf, kept=0.5, hard_share=0.25, shed=0.5),
            probe("first", 400.0, hard_share=0.25),
            probe("full", 100.0, hard_share=0.25),
            probe("first", 100.0, hard_share=0.25),
            probe("first", 100.0, hard_share=1.0),
            probe("first", 400.0, hard_share=1.0, lag_p99_ms=4.0),
            probe("full", 100.0, p99_ms=80.0, hard_share=1.0),
            probe("full", 400.0, p99_ms=math.inf, kept=0.25, hard_share=1.0, shed=0.75),
        ),
    )
