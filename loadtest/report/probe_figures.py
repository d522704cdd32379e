"""Probes as JSON and as lines of a CSV. Pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from loadtest.case import Case
from loadtest.figures.probe import Goal, Probe
from loadtest.report.case_json import load_figures_to_json, under_load_to_json
from loadtest.report.case_line import Line, load_columns, under_load_columns
from loadtest.report.circumstances import Circumstances
from loadtest.report.model_json import FORMAT_VERSION, model_to_json


def heading(kind: str, cases: Sequence[Case], goal: Goal, around: Circumstances) -> dict[str, Any]:
    """What the summaries of a search and of a sweep begin with."""
    return {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        **asdict(around),
        "models": [model_to_json(served) for served in {c.served.name: c.served for c in cases}.values()],
        "goal": asdict(goal),
    }


def case_names(case: Case) -> dict[str, Any]:
    return {"contender": case.contender, "over": case.over, "model": case.served.name, "policy": case.policy}


def probe_to_json(probe: Probe) -> dict[str, Any]:
    return {
        "rate": probe.rate,
        "hard_share": probe.hard_share,
        "phase": probe.phase,
        "is_good": probe.is_good,
        "is_valid": probe.is_valid,
        "missed": probe.missed,
        "load": load_figures_to_json(probe.load),
        "under_load": under_load_to_json(probe.under_load),
    }


def probe_line(probe: Probe) -> Line:
    line: Line = {"contender": probe.case.contender, "over": probe.case.over, "rate": probe.rate}
    line |= {"hard_share": probe.hard_share, "phase": probe.phase}
    line |= {"is_good": probe.is_good, "is_valid": probe.is_valid, "missed": probe.missed}
    return line | load_columns(probe.load) | under_load_columns(probe.under_load)
