"""What a reader must know beside the table: checks passed, and figures not to be trusted. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from loadtest.figures.results import Results
from loadtest.measure.campaign import case_id
from loadtest.report.validity import confirmation
from loadtest.report.wording import count, estimate, listed, percent


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
        *_saturation(results),
    ]


def _protocols(results: Results) -> Iterator[Note]:
    if results.disagreements is None:
        return
    names = listed(results.campaign.overs)
    who = "every contender" if len(results.disagreements) > 1 else next(iter(results.disagreements))
    different = {contender: rows for contender, rows in results.disagreements.items() if rows}
    if different:
        rows = ", ".join(f"{contender} {rows}" for contender, rows in different.items())
        yield _warning(f"{names} disagree in (label, exit stage, accepted); rows: {rows}")
    else:
        yield Note(
            Level.PASSED,
            f"{names} agree in label, exit stage and accepted on all {len(results.campaign.samples):,} rows "
            f"of {who}",
        )


def _cost(results: Results) -> Iterator[Note]:
    checks = [(case.name, case.quality.cost_check) for case in results.cases if case.quality.cost_check]
    for name, check in checks:
        if check.executed_macs is None:
            yield _warning(f"cost of {name}: {check.obstacle}; the cost could not be checked")
        elif not check.is_match:
            yield _warning(
                f"cost of {name}: the answers tell {count(check.reported_macs)} MACs a row, the rows "
                f"that the server's members executed {count(check.executed_macs)} "
                f"({check.executed_macs / check.reported_macs - 1:+.2%})"
            )
    if checks and all(check.is_match for _, check in checks):
        yield Note(
            Level.PASSED,
            "cost: the MACs told by the answers are exactly those of the rows that the members executed",
        )


def _exits(results: Results) -> Iterator[Note]:
    """The table has no room for these intervals."""
    for contender in results.campaign.contenders:
        shares = results.of(contender).quality.exit_shares
        if sum(share.value > 0 for share in shares) > 1:
            yield Note(Level.FIGURE, f"exits per stage, {contender}: {' / '.join(map(estimate, shares))}")


def _ood(results: Results) -> Iterator[Note]:
    campaign = results.campaign
    if campaign.ood is None:
        return
    shares = {contender: results.of(contender).quality.ood_accepted for contender in campaign.contenders}
    parts = [f"{contender} {estimate(share)}" for contender, share in shares.items() if share is not None]
    yield Note(
        Level.FIGURE, f"out-of-distribution rows accepted, of {len(campaign.ood):,}: {', '.join(parts)}"
    )


def _errors(results: Results) -> Iterator[Note]:
    for case in results.cases:
        failed = {name: n for name, n in case.load.statuses.items() if n and name != "ok"}
        if failed:
            what = ", ".join(f"{n:,} {name}" for name, n in failed.items())
            detail = results.campaign.loads[case_id(case.case)].samples.first_failure
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
    """Where it did not keep up, the run is invalid, and that is told before all else."""
    if results.is_valid:
        yield Note(Level.PASSED, confirmation(results))


def _saturation(results: Results) -> Iterator[Note]:
    saturated = [c.name for c in results.cases if c.capacity is not None and c.capacity.is_generator_limited]
    if saturated:
        yield _warning(
            f"capacity is a lower bound, the generator itself being near a full core: {', '.join(saturated)}"
        )
