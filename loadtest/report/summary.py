"""The figures for programs: `summary.json` and `summary.csv`."""

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtest.figures.quality import Quality, Share
from loadtest.figures.results import CaseResult, Results
from loadtest.figures.statistics import LoadFigures
from loadtest.folder import SUMMARY
from loadtest.report.circumstances import Circumstances
from loadtest.report.notes import Note

FORMAT_VERSION = 1


def write_summary(folder: Path, results: Results, notes: list[Note], around: Circumstances) -> None:
    text = json.dumps(summary(results, notes, around), indent=2, allow_nan=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
    with (folder / "summary.csv").open("w", encoding="utf-8", newline="") as file:
        lines = [flat(case) for case in results.cases]
        writer = csv.DictWriter(file, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def summary(results: Results, notes: list[Note], around: Circumstances) -> dict[str, Any]:
    campaign = results.campaign
    return {
        "format_version": FORMAT_VERSION,
        "model": campaign.cascade.name,
        "cascade_version": campaign.cascade.version,
        "default_policy": campaign.cascade.default_policy,
        "stage_macs": list(campaign.cascade.stage_macs),
        "rows": len(campaign.samples),
        "ood_rows": len(campaign.ood) if campaign.ood else 0,
        "load": asdict(campaign.config.load),
        "capacity": asdict(campaign.config.capacity),
        **asdict(around),
        "cases": [case_to_json(case) for case in results.cases],
        "protocol_disagreements": results.disagreements,
        "notes": [asdict(note) for note in notes],
    }


def case_to_json(case: CaseResult) -> dict[str, Any]:
    return {
        "policy": case.policy,
        "protocol": case.protocol,
        **_quality_to_json(case.quality),
        "load": _load_to_json(case.load),
        "capacity": None
        if case.capacity is None
        else {**asdict(case.capacity), "is_generator_limited": case.capacity.is_generator_limited},
    }


def _quality_to_json(quality: Quality) -> dict[str, Any]:
    """Cost as `cascade evaluate --json` names it; shares are followed by their interval."""
    return {
        "accuracy": _share(quality.accuracy),
        "coverage": _share(quality.coverage),
        "risk": _share(quality.risk),
        "exits": list(quality.exits),
        "exit_intervals": [[share.low, share.high] for share in quality.exit_shares],
        "exit_reasons": quality.exit_reasons,
        "cost": quality.cost,
        "cost_macs": quality.cost_macs,
        "executed_macs": quality.cost_check.executed_macs,
        "is_cost_matched": quality.cost_check.is_match,
        "aurc": quality.aurc,
        "ood_accepted": None if quality.ood_accepted is None else _share(quality.ood_accepted),
        "degraded_answers": quality.num_degraded,
    }


def _share(share: Share) -> dict[str, Any] | None:
    return asdict(share) if share.is_known else None


def _load_to_json(load: LoadFigures) -> dict[str, Any]:
    """Null where a percentile falls among the requests without an answer."""
    parts = {
        **asdict(load),
        "num_errors": load.num_errors,
        "generator": {**asdict(load.generator), "is_limited": load.generator.is_limited},
    }
    return {key: _finite(value) for key, value in parts.items()}


def flat(case: CaseResult) -> dict[str, Any]:
    """One line of the CSV; empty where there is no figure."""
    quality, load, capacity = case.quality, case.load, case.capacity
    line: dict[str, Any] = {"policy": case.policy, "protocol": case.protocol}
    for name in ("accuracy", "coverage", "risk"):
        for part, value in asdict(getattr(quality, name)).items():
            line[name if part == "value" else f"{name}_{part}"] = value
    line |= {f"exits_{stage}": share for stage, share in enumerate(quality.exits, 1)}
    line |= {"cost_macs": quality.cost_macs, "cost": quality.cost}
    line["ood_accepted"] = None if quality.ood_accepted is None else quality.ood_accepted.value
    line["capacity_rows_per_s"] = None if capacity is None else capacity.rows_per_s
    line["capacity_server_cpu_ms_per_row"] = None if capacity is None else capacity.server_cpu_ms_per_row
    line |= {name: getattr(load.latency, name) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")}
    line |= {"requests_per_s": load.requests_per_s, "rows_per_s": load.rows_per_s}
    line |= {"num_errors": load.num_errors, "server_cpu_ms_per_row": load.server_cpu_ms_per_row}
    line["is_generator_limited"] = load.generator.is_limited
    return {key: _finite(value) for key, value in line.items()}


def _finite(value: Any) -> Any:
    """None in the place of what JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
