"""Part 4: the same policies served and load-tested: do multiply-adds saved become time saved?

Exports two members of each model as a cascade of two stages, and of the family's largest one also three
members, an int8 copy as the first stage, and one behind a member of the model before it; serves all from one
core and drives them from another, by the commands that a user types.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.exits_study import cores
from benchmarks.server_process import measured_server
from benchmarks.study.contenders import COVERAGE, THREE, TWO, UPWARDS
from benchmarks.study.members import ROOT, command, family_run, study_folder
from benchmarks.study.sizes import Size

Record = dict[str, Any]

POLICIES = ("first", "threshold", "window", "full")
RATE = 100
BLOCKS = 3


@dataclass(frozen=True)
class Served:
    """A cascade and what it is made of; `arguments` are those of the export that makes it."""

    name: str
    stage_models: tuple[str, ...]
    arguments: tuple[str, ...]


def cascades(size: Size) -> list[Served]:
    largest, before = size.models[-1], size.models[-2]
    run = str(family_run(size, largest).relative_to(ROOT))
    files = [_published(size, model) for model in (before, largest)]
    rows = str(family_run(size, largest).relative_to(ROOT) / "splits" / "calibration.npz")
    return [
        *(_two(size, model) for model in size.models),
        Served(f"{largest}-of-3", (largest,) * 3, (run, "--stages", "0;1;2", "--budget", THREE)),
        Served(
            f"{largest}-int8", (f"{largest}:int8", largest), (run, "--stages", "0:int8;1", "--budget", TWO)
        ),
        Served(
            f"{before}-{largest}",
            (before, largest),
            ("add", *files, "--samples", rows, "--budget", UPWARDS.fits["budget"]),
        ),
    ]


def _two(size: Size, model: str) -> Served:
    run = str(family_run(size, model).relative_to(ROOT))
    return Served(model, (model, model), (run, "--stages", "0;1", "--budget", TWO))


def _published(size: Size, model: str) -> str:
    return str(_repository(size).relative_to(ROOT) / f"{model}-0" / "1" / "model.onnx")


def _repository(size: Size) -> Path:
    return study_folder(size) / "repository"


def served(size: Size, reports: Path) -> Record:
    """What the load test says of each cascade and policy."""
    made = cascades(size)
    publish(size, made)
    server_core, generator_core = cores()
    os.sched_setaffinity(0, {server_core})
    with measured_server(_repository(size), "--workers", "1") as server:
        os.sched_setaffinity(0, {generator_core})
        out = reports / "served"
        _must(_load(size, made, f"http://{server.http}", out))
    os.sched_setaffinity(0, {server_core, generator_core})
    summary = json.loads((ROOT / out / "summary.json").read_text(encoding="utf-8"))
    stage_models = {each.name: each.stage_models for each in made}
    first = {case["model"]: _case(case) for case in summary["cases"] if case["policy"] == "first"}
    return {
        "machine": summary["machine"],
        "is_valid": summary["is_valid"],
        "obstacle": summary["obstacle"],
        "rate": RATE,
        "cases": [
            _case(case)
            | _ratios(_case(case), first[case["model"]])
            | {"stage_models": list(stage_models[case["model"]])}
            for case in summary["cases"]
        ],
    }


def publish(size: Size, made: Sequence[Served]) -> None:
    """Anew, so that a repository left by an interrupted study is no matter."""
    repository = _repository(size)
    shutil.rmtree(repository, ignore_errors=True)
    for each in made:
        place = ("--repository", str(repository.relative_to(ROOT)), "--name", each.name)
        _must(["export", *each.arguments, *place, "--objective", COVERAGE.objective])


def _load(size: Size, made: Sequence[Served], url: str, out: Path) -> list[str]:
    samples = family_run(size, size.models[0]).relative_to(ROOT) / "splits" / "test.npz"
    return [
        *("loadtest", url, "--model", ",".join(each.name for each in made), "--policies", ",".join(POLICIES)),
        *("--samples", str(samples), "--rate", str(RATE), "--duration", f"{BLOCKS * size.seconds:g}"),
        *("--block-seconds", f"{size.seconds:g}", "--capacity-seconds", f"{size.seconds:g}"),
        *("--out", str(out), "--overwrite"),
    ]


def _must(arguments: Sequence[str]) -> None:
    if code := command(arguments):
        sys.exit(f"`python -m {arguments[0]}` ended with exit code {code}")


def _case(case: Record) -> Record:
    quality, load, capacity = case["quality"], case["load"], case["capacity"]
    return {
        "cascade": case["model"],
        "policy": case["policy"],
        "coverage": quality["coverage"],
        "risk": quality["risk"],
        "accuracy": quality["accuracy"],
        "exits": [share["value"] for share in quality["exits"]],
        "cost": quality["cost"],
        "macs": quality["cost_macs"],
        "rows_per_s": capacity["rows_per_s"],
        "cpu_ms": capacity["server"]["cpu_ms"],
        "cpu_ms_alone": load["server"]["cpu_ms"],
        "p50_ms": load["latency"]["p50_ms"],
        "p99_ms": load["latency"]["p99_ms"],
    }


def _ratios(case: Record, first: Record) -> Record:
    """CPU time as a multiple of the cascade's first stage alone."""
    return {
        "cpu_ratio": case["cpu_ms"] / first["cpu_ms"],
        "cpu_alone_ratio": case["cpu_ms_alone"] / first["cpu_ms_alone"],
    }


def model_cpu_ms(part: Record) -> dict[str, float]:
    """CPU time a row of each model, served alone: the policy `first` of its cascade of two."""
    return {
        case["cascade"]: case["cpu_ms"]
        for case in part["cases"]
        if case["policy"] == "first" and case["stage_models"] == [case["cascade"]] * 2
    }
