"""A plan in words and cells, for terminal and page alike. Pure."""

from loadtest.plan.replicas import Plan
from loadtest.report.wording import NONE, percent
from loadtest.studies.planning import Planned

FIGURE_NAMES = {
    "p50_ms": "p50, ms",
    "p90_ms": "p90, ms",
    "p99_ms": "p99, ms",
    "member_ms_per_row": "members' ms a row",
}


def headline(planned: Planned) -> str:
    demand, objective = planned.demand, planned.objective
    rows = "1 row" if demand.rows_per_request == 1 else f"{demand.rows_per_request} rows"
    plan = planned.comparison.cascade
    return (
        f"{planned.case.name}: {demand.rate:g} requests/s of {rows}, p{objective.percent:g} within "
        f"{objective.limit_s * 1e3:g} ms, need {plan.num_replicas} replicas (p{objective.percent:g} "
        f"{plan.simulated.percentile_s(objective.percent) * 1e3:.1f} ms); {_full_words(planned)}"
    )


def _full_words(planned: Planned) -> str:
    full = planned.comparison.full
    if full is None:
        return f"running all members on every row can't hold it ({planned.comparison.why_not_full})"
    return f"running all members on every row needs {full.num_replicas}"


def member_cells(planned: Planned) -> list[tuple[str, ...]]:
    plan, full = planned.comparison.cascade, planned.comparison.full
    return [
        (
            name,
            percent(planned.pipeline.reaching[name]),
            f"{curve.per_batch_s * 1e3:.2f} + {curve.per_row_s * 1e3:.3f}",
            *_replica_cells(plan, name),
            *_replica_cells(full, name),
        )
        for name, curve in planned.curves.items()
    ]


def _replica_cells(plan: Plan | None, name: str) -> tuple[str, str]:
    return (NONE, NONE) if plan is None else (str(plan.replicas[name]), percent(plan.load[name], 0))


def model_words(planned: Planned) -> str:
    most_rows = next(iter(planned.pipeline.members.values())).max_batch_rows
    return (
        f"a replica runs one batch at a time, of up to {most_rows} rows; load is of what full batches can "
        f"do, at most {percent(planned.objective.max_utilisation, 0)}; Poisson arrivals, "
        f"{planned.demand.num_requests:,} requests simulated"
    )


def warning(planned: Planned) -> str:
    """Empty where the generator kept up, and where nothing was checked."""
    if all(checked.is_valid for checked in planned.checks):
        return ""
    return "the generator did not keep up in some checks, whose errors say nothing; cores of its own help"


def check_cells(planned: Planned) -> list[tuple[str, ...]]:
    return [
        (
            f"{checked.rate:g}" + ("" if checked.is_valid else " (generator-limited)"),
            FIGURE_NAMES[line.figure],
            f"{line.predicted:.3g}",
            f"{line.measured:.3g}",
            f"{line.error:+.0%}",
        )
        for checked in planned.checks
        for line in checked.lines
    ]
