"""The tables of the report's page, as HTML."""

from collections.abc import Callable

from cascade.intervals import Estimate
from loadtest.figures.results import CaseResult, Results
from loadtest.figures.statistics import Latency
from loadtest.report.case_table import Group, Read, case_table
from loadtest.report.document import beneath
from loadtest.report.wording import (
    LIMITED,
    NONE,
    capacity,
    count,
    exits,
    milliseconds,
    multiple,
    per_second,
    percent,
    tail,
)

# Of fewer requests, the p99 is the slowest of all.
LEAST_FOR_P99 = 100


def quality_table(results: Results) -> str:
    shares: list[tuple[str, Read]] = [
        ("accuracy", lambda c: _share(c.quality.accuracy)),
        ("coverage", lambda c: _share(c.quality.coverage)),
        ("risk", lambda c: _share(c.quality.risk)),
    ]
    if any(case.quality.agreement for case in results.cases):
        shares.append(("agreement", lambda c: _share(c.quality.agreement)))
    if results.campaign.ood is not None:
        shares.append(("OOD accepted", lambda c: _share(c.quality.ood_accepted)))
    groups = [Group("answers, without load", tuple(shares))]
    if results.campaign.cascade is not None:
        groups.append(Group("exits", (("per stage, %", lambda c: exits(c.quality.exits)),)))
        groups.append(Group("cost of a row", _COST))
    return case_table(results, groups, is_merged=True)


_COST: tuple[tuple[str, Read], ...] = (
    ("MACs", lambda c: NONE if c.quality.cost_macs is None else count(c.quality.cost_macs)),
    ("× stage 1", lambda c: multiple(c.quality.cost)),
)


def speed_table(results: Results) -> str:
    groups = [
        Group(
            "latency, ms",
            (
                ("p50", lambda c: milliseconds(c.load.latency.p50_ms)),
                ("p90", lambda c: milliseconds(c.load.latency.p90_ms)),
                ("p99", tail),
            ),
        ),
        Group("service time, ms", (("p50", _service("p50_ms")), ("p99", _service("p99_ms")))),
        Group("answered", (("rows/s", _answered_rows),)),
        Group("server, ms a row", (("CPU", _cpu), ("members", _members), ("queues", _queues))),
    ]
    if any(case.capacity for case in results.cases):
        groups.append(Group("at saturation", (("rows/s", _capacity), ("CPU ms", _saturated_cpu))))
    return case_table(results, groups)


def _service(name: str) -> Callable[[CaseResult], str]:
    return lambda c: NONE if c.load.service is None else milliseconds(getattr(c.load.service, name))


def _answered_rows(case: CaseResult) -> str:
    return per_second(case.load.rows_per_s)


def _cpu(case: CaseResult) -> str:
    return _spent(case.load.server.cpu_ms)


def _members(case: CaseResult) -> str:
    members = case.load.server.member_ms
    if members is None:
        return NONE
    parts = [value for value in members.values() if value > 0]
    return beneath(_spent(sum(parts)), " + ".join(map(_spent, parts)) if len(parts) > 1 else "")


def _queues(case: CaseResult) -> str:
    return _spent(case.load.server.queue_ms)


def _capacity(case: CaseResult) -> str:
    if case.capacity is None or len(case.capacity.turns) < 2:
        return capacity(case)
    turns = case.capacity.turns
    return beneath(capacity(case), f"{count(min(turns))} to {count(max(turns))}")


def _saturated_cpu(case: CaseResult) -> str:
    return NONE if case.capacity is None else _spent(case.capacity.server.cpu_ms)


def _spent(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def under_load_table(results: Results) -> str:
    shares: list[tuple[str, Read]] = [
        ("coverage", lambda c: _share(c.under_load.coverage)),
        ("risk", lambda c: _share(c.under_load.risk)),
    ]
    if any(case.under_load.agreement for case in results.cases):
        shares.append(("agreement", lambda c: _share(c.under_load.agreement)))
    groups = [
        Group(
            "requests/s",
            (
                ("offered", lambda c: per_second(c.load.offered_rate)),
                ("answered", lambda c: per_second(c.load.requests_per_s)),
            ),
        ),
        Group(
            "accuracy",
            (
                ("all sent", lambda c: _share(c.under_load.accuracy)),
                ("answered", lambda c: _share(c.under_load.answered_accuracy)),
            ),
        ),
        Group("answers", tuple(shares)),
        Group("shares of the rows sent", _SHARES),
    ]
    return case_table(results, groups)


_SHARES: tuple[tuple[str, Read], ...] = (
    ("degraded", lambda c: percent(c.under_load.degraded)),
    ("shed", lambda c: percent(c.under_load.shed)),
    ("failed", lambda c: percent(c.under_load.failed)),
    ("good", lambda c: percent(c.under_load.good)),
    ("kept", lambda c: percent(c.under_load.kept)),
)


def stage_table(results: Results) -> str:
    stages = sorted({stage for case in results.cases for stage in case.load.by_exit_stage})
    return case_table(results, [Group(f"leaving at stage {stage}", _of_stage(stage)) for stage in stages])


def _of_stage(stage: int) -> tuple[tuple[str, Read], ...]:
    def read(figure: Callable[[Latency], str]) -> Read:
        return lambda c: figure(c.load.by_exit_stage[stage]) if stage in c.load.by_exit_stage else NONE

    return (
        ("requests", read(lambda latency: count(latency.num_samples))),
        ("p50 ms", read(lambda latency: milliseconds(latency.p50_ms))),
        ("p99 ms", read(_known_tail)),
    )


def _known_tail(latency: Latency) -> str:
    return milliseconds(latency.p99_ms) if latency.num_samples >= LEAST_FOR_P99 else NONE


def _share(share: Estimate | None) -> str:
    if share is None or not share.is_known:
        return NONE
    return beneath(percent(share.value), f"{share.low * 100:.1f} to {share.high * 100:.1f}")


def marks(results: Results) -> str:
    """What a mark in the tables means; empty where there is none."""
    is_marked = not results.is_valid or any(
        case.capacity is not None and case.capacity.is_generator_limited for case in results.cases
    )
    return f" {LIMITED} marks figures that the generator itself may limit." if is_marked else ""
