"""Part 4: the same policies served and load-tested: do multiply-adds saved become time saved?

Exports the members of each model, and of these two as a cascade of two stages; of the largest model also all
three, two with an int8 copy of the first, and one behind a member of the model before it. Serves all from one
core and drives them from another, by the commands that a user types.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    """In the order in which they are made: the others take the files of the cascades of three members."""
    largest, before = size.models[-1], size.models[-2]
    return [
        *(_of_three(size, model) for model in size.models),
        *(_of_files(size, model, ((model, 0), (model, 1)), TWO) for model in size.models),
        _quantised(_of_files(size, f"{largest}-int8", ((largest, 0), (largest, 1)), TWO)),
        _of_files(size, f"{before}-{largest}", ((before, 0), (largest, 0)), UPWARDS.fits["budget"]),
    ]


def driven(size: Size) -> list[Served]:
    """Of three members only the largest model's."""
    of_three = {three_of(model) for model in size.models[:-1]}
    return [each for each in cascades(size) if each.name not in of_three]


def three_of(model: str) -> str:
    return f"{model}-of-3"


def _of_three(size: Size, model: str) -> Served:
    run = str(family_run(size, model).relative_to(ROOT))
    return Served(three_of(model), (model,) * 3, (run, "--budget", THREE))


def _of_files(size: Size, name: str, members: Sequence[tuple[str, int]], budget: str) -> Served:
    """`members`: a model and which of its three, the first stage first."""
    repository = _repository(size).relative_to(ROOT)
    files = [
        str(repository / f"{three_of(model)}-{number}" / "1" / "model.onnx") for model, number in members
    ]
    rows = str(family_run(size, size.models[0]).relative_to(ROOT) / "splits" / "calibration.npz")
    stage_models = tuple(model for model, _ in members)
    return Served(name, stage_models, ("add", *files, "--samples", rows, "--budget", budget))


def _quantised(served: Served) -> Served:
    """With an int8 copy of its first member in that one's place."""
    first, *others = served.stage_models
    return replace(
        served, stage_models=(f"{first}:int8", *others), arguments=(*served.arguments, "--stages", "0:int8;1")
    )


def _repository(size: Size) -> Path:
    return study_folder(size) / "repository"


def served(size: Size, reports: Path) -> Record:
    """What the load test says of each cascade and policy."""
    made = driven(size)
    publish(size, cascades(size))
    server_core, generator_core = cores()
    os.sched_setaffinity(0, {server_core})
    with measured_server(_repository(size), "--workers", "1") as server:
        os.sched_setaffinity(0, {generator_core})
        out = reports / "served"
        _must(_load(size, made, f"http://{server.http}", out))
    os.sched_setaffinity(0, {server_core, generator_core})
    summary = json.loads((ROOT / out / "summary.json").read_text(encoding="utf-8"))
    stage_models = {each.name: list(each.stage_models) for each in made}
    cases = [_case(case) for case in summary["cases"]]
    first = {case["cascade"]: case for case in cases if case["policy"] == "first"}
    return {
        "machine": summary["machine"],
        "is_valid": summary["is_valid"],
        "obstacle": summary["obstacle"],
        "rate": RATE,
        "cases": [
            case | _ratios(case, first[case["cascade"]]) | {"stage_models": stage_models[case["cascade"]]}
            for case in cases
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
