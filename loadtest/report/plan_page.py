"""The report of a plan: `report.html`, `summary.json` and `summary.csv`."""

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from loadtest.plan.replicas import Plan
from loadtest.report.circumstances import Circumstances, origin
from loadtest.report.document import definitions, document, header, paragraph, section
from loadtest.report.model_json import FORMAT_VERSION
from loadtest.report.plan_table import CHECK_COLUMNS, MEMBER_COLUMNS
from loadtest.report.plan_words import check_cells, headline, member_cells, model_words, warning
from loadtest.report.summary import write_csv, write_json
from loadtest.report.write import PAGE
from loadtest.studies.planning import Planned

HOW_SENTENCE = (
    "A simulation of the cascade as queues: rows leave where the measured shares say, a member's replicas "
    "take what waits in batches, which take what the measured service curve says. Each member has replicas "
    "of its own, the fewest that hold the objective."
)
CHECK_SENTENCE = (
    "The same simulation of the server as it was here, its members sharing its workers, beside what was "
    "measured at the same arrivals. Router, members and load generator share this machine's cores, which "
    "the simulation does not know."
)


def write_plan(folder: Path, planned: Planned, around: Circumstances) -> None:
    write_json(folder, summary(planned, around))
    write_csv(folder, _lines(planned))
    (folder / PAGE).write_text(page(planned, around), encoding="utf-8")


def _lines(planned: Planned) -> list[dict[str, Any]]:
    """One for each member; empty where running all members on every row has no plan."""
    plan, full = planned.comparison.cascade, planned.comparison.full
    return [
        {
            "member": name,
            "reached": planned.pipeline.reaching[name],
            "per_batch_ms": curve.per_batch_s * 1e3,
            "per_row_ms": curve.per_row_s * 1e3,
            "replicas": plan.replicas[name],
            "load": plan.load[name],
            "full_replicas": None if full is None else full.replicas[name],
            "full_load": None if full is None else full.load[name],
        }
        for name, curve in planned.curves.items()
    ]


def page(planned: Planned, around: Circumstances) -> str:
    title = f"{planned.case.served.name}: replicas for {planned.demand.rate:g} requests a second"
    body = [
        header(title, around.started_in_words),
        f'<p class="lead">{escape(headline(planned))}.</p>',
        section(
            "Replicas", paragraph(f"{HOW_SENTENCE} {_sentence(model_words(planned))}"), _members(planned)
        ),
        _checks(planned),
        section("How this was measured", definitions(origin(around))),
    ]
    return document(title, body)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _members(planned: Planned) -> str:
    return _table(MEMBER_COLUMNS, member_cells(planned))


def _checks(planned: Planned) -> str:
    if not planned.checks:
        return ""
    warned = f"INVALID: {warning(planned)}." if warning(planned) else ""
    return section(
        "How far off",
        paragraph(f"{CHECK_SENTENCE} {warned}".strip()),
        _table(CHECK_COLUMNS, check_cells(planned)),
    )


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th{_kind(i)}>{escape(name)}</th>" for i, name in enumerate(columns))
    rows = "".join(
        "<tr>" + "".join(f"<td{_kind(i)}>{escape(cell)}</td>" for i, cell in enumerate(line)) + "</tr>"
        for line in lines
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _kind(column: int) -> str:
    return ' class="text"' if column == 0 else ""


def summary(planned: Planned, around: Circumstances) -> dict[str, Any]:
    comparison = planned.comparison
    return {
        "format_version": FORMAT_VERSION,
        "kind": "plan",
        **asdict(around),
        "model": planned.case.served.name,
        "policy": planned.case.policy,
        "demand": asdict(planned.demand),
        "objective": asdict(planned.objective),
        "exits": list(planned.exits),
        "curves": {name: asdict(curve) for name, curve in planned.curves.items()},
        "plan": _plan(comparison.cascade),
        "full": None if comparison.full is None else _plan(comparison.full),
        "why_not_full": comparison.why_not_full or None,
        "checks": [
            {
                "rate": checked.rate,
                "is_valid": checked.is_valid,
                "figures": [{**asdict(line), "error": line.error} for line in checked.lines],
            }
            for checked in planned.checks
        ],
    }


def _plan(plan: Plan) -> dict[str, Any]:
    simulated = plan.simulated
    return {
        "replicas": dict(plan.replicas),
        "at_least": dict(plan.at_least),
        "load": dict(plan.load),
        **{f"p{percent}_ms": simulated.percentile_s(percent) * 1e3 for percent in (50, 90, 99)},
    }
