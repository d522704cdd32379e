"""The figures for programs: `summary.json` and `summary.csv`."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtest.config import Config
from loadtest.figures.assertions import Verdict
from loadtest.figures.results import Results
from loadtest.folder import SUMMARY
from loadtest.report.case_json import case_to_json, finite
from loadtest.report.case_line import flat
from loadtest.report.circumstances import Circumstances
from loadtest.report.model_json import FORMAT_VERSION, model_to_json
from loadtest.report.notes import notes
from loadtest.report.validity import explanation
from loadtest.traffic.load import LoadConfig

CSV = "summary.csv"


def write_summary(folder: Path, results: Results, verdicts: Sequence[Verdict], around: Circumstances) -> None:
    write_json(folder, summary(results, verdicts, around))
    write_csv(folder, [flat(case) for case in results.cases])


def write_json(folder: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(finite(content), indent=2, allow_nan=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")


def write_csv(folder: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """A column for every key of any line, in the order of their coming."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    with (folder / CSV).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(finite(dict(line)) for line in lines)


def summary(results: Results, verdicts: Sequence[Verdict], around: Circumstances) -> dict[str, Any]:
    campaign = results.campaign
    served = {case.served.name: case.served for case in campaign.cases}
    return {
        "format_version": FORMAT_VERSION,
        "kind": "campaign",
        "is_valid": results.is_valid,
        "obstacle": explanation(results) or None,
        "verdicts": [verdict_to_json(verdict) for verdict in verdicts],
        **asdict(around),
        "models": [model_to_json(model) for model in served.values()],
        "rows": len(campaign.samples),
        "ood_rows": len(campaign.ood) if campaign.ood else 0,
        "requests": len(campaign.schedule),
        "config": config_to_json(campaign.config),
        "baseline": campaign.baseline,
        "cases": [case_to_json(case) for case in results.cases],
        "disagreements": results.disagreements,
        "notes": [asdict(note) for note in notes(results)],
    }


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    return {**asdict(verdict.assertion), "holds": verdict.holds, "detail": verdict.detail}


def config_to_json(config: Config) -> dict[str, Any]:
    """But for how the server was spoken to, which may hold secrets."""
    return {
        "urls": [target.url for target in config.subject.targets],
        "samples": str(config.subject.samples),
        "load": load_to_json(config.load),
        "capacity": asdict(config.capacity),
        "processes": config.generation.processes,
        "objective_ms": config.objective_ms,
    }


def load_to_json(load: LoadConfig) -> dict[str, Any]:
    """The rate as it was typed, and its mean."""
    told = {**asdict(load), "rate": load.rate.text, "mean_rate": load.rate.mean}
    told["trace"] = None if load.trace is None else str(load.trace)
    return told
