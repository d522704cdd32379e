"""What a reader must know beside the table: checks passed, and figures not to be trusted. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from loadtest.figures.results import CaseResult, Results
from loadtest.figures.statistics import CPU_LIMIT, LAG_LIMIT_MS
from loadtest.report.wording import count, estimate, percent


class Level(StrEnum):
    PASSED = "passed"
    FIGURE = "figure"
    WARNING = "warning"


@dataclass(frozen=True)
class Note:
    level: Level
    text: str


def _warning(text: str) -> Note:
    return Note(Level.WARNING, text)


def notes(results: Results) -> list[Note]:
    return [
        *_protocols(results),
        *_cost(results),
        *_exits(results),
        *_ood(results),
        *_errors(results),
        *_degraded(results),
        *_generator(results),
    ]


def _protocols(results: Results) -> Iterator[Note]:
    if results.disagreements is None:
        return
    names = " and ".join(results.campaign.protocols)
    different = {policy: rows for policy, rows in results.disagreements.items() if rows}
    if different:
        rows = ", ".join(f"{policy} {rows}" for policy, rows in different.items())
        yield _warning(f"{names} disagree in (label, exit stage, accepted); rows: {rows}")
    else:
        yield Note(
            Level.PASSED,
            f"{names} agree in label, exit stage and accepted on all {len(results.campaign.samples):,} rows "
            "of every policy",
        )


def _cost(results: Results) -> Iterator[Note]:
    for case in results.cases:
        check = case.quality.cost_check
        if check.executed_macs is None:
            yield _warning(f"cost of {case.name}: {check.obstacle}; the cost could not be checked")
        elif not check.is_match:
            yield _warning(
                f"cost of {case.name}: the answers tell {count(check.reported_macs)} MACs a row, the rows "
                f"that the server's members executed {count(check.executed_macs)} "
                f"({check.executed_macs / check.reported_macs - 1:+.2%})"
            )
    if all(case.quality.cost_check.is_match for case in results.cases):
        yield Note(
            Level.PASSED,
            "cost: the MACs told by the answers are exactly those of the rows that the members executed",
        )


def _exits(results: Results) -> Iterator[Note]:
    """The table has no room for these intervals."""
    for policy in results.campaign.policies:
        shares = results.of(policy).quality.exit_shares
        if sum(share.value > 0 for share in shares) > 1:
            yield Note(Level.FIGURE, f"exits per stage, {policy}: {' / '.join(map(estimate, shares))}")


def _ood(results: Results) -> Iterator[Note]:
    campaign = results.campaign
    if campaign.ood is None:
        return
    parts = []
    for policy in campaign.policies:
        accepted = results.of(policy).quality.ood_accepted
        if accepted is not None:
            parts.append(f"{policy} {estimate(accepted)}")
    yield Note(
        Level.FIGURE, f"out-of-distribution rows accepted, of {len(campaign.ood):,}: {', '.join(parts)}"
    )


def _errors(results: Results) -> Iterator[Note]:
    for case in results.cases:
        failed = {name: n for name, n in case.load.statuses.items() if n and name != "ok"}
        if failed:
            what = ", ".join(f"{n} {name}" for name, n in failed.items())
            detail = results.campaign.loads[case.policy, case.protocol].first_failure
            yield _warning(f"{case.name}: {what} of {case.load.num_requests:,} requests; first: {detail}")
        if case.capacity is not None and case.capacity.num_errors:
            yield _warning(f"{case.name}: {case.capacity.num_errors} requests failed at saturation")


def _degraded(results: Results) -> Iterator[Note]:
    for case in results.cases:
        if case.quality.num_degraded:
            yield _warning(f"{case.name}: {case.quality.num_degraded} census answers were degraded")
        if case.load.num_degraded:
            share = percent(case.load.num_degraded / case.load.num_answered)
            yield _warning(f"{case.name}: {share} of the answers under load were degraded")


def _generator(results: Results) -> Iterator[Note]:
    limits = f"limits: {LAG_LIMIT_MS:g} ms, {percent(CPU_LIMIT, 0)} of a core"
    limited = [case for case in results.cases if case.load.generator.is_limited]
    if limited:
        yield _warning(f"generator-limited ({limits}): {'; '.join(map(_generator_figures, limited))}")
    else:
        checks = [case.load.generator for case in results.cases]
        lag, share = max(check.lag_p99_ms for check in checks), max(check.cpu_share for check in checks)
        yield Note(
            Level.PASSED,
            f"the generator kept up: p99 of its lag at most {lag:.2f} ms, CPU at most {percent(share, 0)} "
            f"({limits})",
        )
    saturated = [c for c in results.cases if c.capacity is not None and c.capacity.is_generator_limited]
    if saturated:
        yield _warning(
            "capacity is a lower bound, the generator itself being near a full core: "
            + ", ".join(case.name for case in saturated)
        )


def _generator_figures(case: CaseResult) -> str:
    check = case.load.generator
    return f"{case.name} lag p99 {check.lag_p99_ms:.2f} ms, CPU {percent(check.cpu_share, 0)}"
