"""The two papers judged end to end on CIFAR-10: trains, judges, serves and reports.

    python -m benchmarks.study --data-root DATA --human-labels CIFAR-10_human.npz [--size small]

DATA holds cifar-10-batches-py/ and cifar-100-python/ (its test set is enough); the labels are CIFAR-10N's.
Trainings that are done are taken as they are, one that was broken off is gone on with. The report goes to
reports/study-SIZE; that of the full study is kept in benchmarks/results/study, that of the one for a GPU in
benchmarks/results/study_gpu.
"""

import argparse
import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.study.members import FAMILY, GROUPS, ROOT, SELECTION, Data, train
from benchmarks.study.outputs import Archive
from benchmarks.study.page import SECTIONS, write_page
from benchmarks.study.scaling import scaling
from benchmarks.study.selections import selections
from benchmarks.study.served import model_cpu_ms, served
from benchmarks.study.sizes import SERVED, SIZES, Size
from benchmarks.study.windows import windows

RESULTS = ROOT / "benchmarks" / "results"
KEPT = {"full": RESULTS / "study", "gpu": RESULTS / "study_gpu"}
"""Where the reports of which sizes are kept."""
PARTS = ("train", "served", "scaling", "selections", "windows", "report")
DATALESS = {SERVED, "report"}
"""Parts that go by what others have left."""
MADE_OF = {SERVED: FAMILY, "scaling": FAMILY, "selections": SELECTION, "windows": FAMILY}
"""The trainings that a part goes by: those of the parts named beside `train`, of all where none is."""


def main() -> None:
    options = _parser().parse_args()
    if options.jobs < 1:
        sys.exit(f"--jobs must be 1 or more, got {options.jobs}")
    size = SIZES[options.size]
    parts = [part for part in PARTS if size.has(part)]
    chosen = parts if options.only is None else options.only.split(",")
    if unknown := sorted(set(chosen) - set(parts)):
        sys.exit(f"no part {', '.join(unknown)} of the {size.name} study; there are: {', '.join(parts)}")
    data = Data(root=options.data_root.resolve(), human_labels=options.human_labels.resolve())
    if set(chosen) - DATALESS:
        check(data)
    reports = Path("reports") / f"study-{size.name}"
    (ROOT / reports).mkdir(parents=True, exist_ok=True)
    if "train" in chosen:
        train(size, data, {MADE_OF[part] for part in chosen if part in MADE_OF} or GROUPS, options.jobs)
    archive = Archive(size, data.root)
    measures: Mapping[str, Callable[[], Mapping[str, Any]]] = {
        SERVED: lambda: served(size, reports),
        "scaling": lambda: scaling(size, archive, cpu_ms(size, ROOT / reports), options.jobs),
        "selections": lambda: selections(size, archive, options.jobs),
        "windows": lambda: windows(size, archive, options.jobs),
    }
    for name, measure in measures.items():
        if name in chosen:
            print(f"{name} ...", flush=True)
            _write(ROOT / reports / f"{name}.json", measure())
    if "report" in chosen:
        report(ROOT / reports, size)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-root", required=True, type=Path, metavar="DATA")
    parser.add_argument("--human-labels", required=True, type=Path, metavar="FILE")
    parser.add_argument("--size", choices=tuple(SIZES), default="full", help="default: full")
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="trainings, and later processes, at a time (default: 2)",
    )
    parser.add_argument(
        "--only", metavar="A,B", help=f"parts to do anew, of {', '.join(PARTS)} (default: all)"
    )
    return parser


def check(data: Data) -> None:
    """Before hours of training: is all there that is asked for later?"""
    for path in (data.root / "cifar-10-batches-py", data.root / "cifar-100-python", data.human_labels):
        if not path.exists():
            sys.exit(f"{path}: not there")


def report(folder: Path, size: Size) -> None:
    """Of the parts that are done, in the order of the page; of others what is kept, where the size is."""
    sources = {name: folder / f"{name}.json" for name in SECTIONS}
    kept = KEPT.get(size.name)
    if kept is not None:
        sources = {name: path if path.exists() else kept / path.name for name, path in sources.items()}
    parts = {name: _content(path) for name, path in sources.items() if path.exists()}
    write_page(folder, size, parts)
    write_tables(folder, parts)
    print(f"{folder.relative_to(ROOT)}/report.html")
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        for path in (
            *folder.glob("*.json"),
            *folder.glob("*.csv"),
            *folder.glob("*.png"),
            folder / "report.html",
        ):
            shutil.copyfile(path, kept / path.name)


def cpu_ms(size: Size, reports: Path) -> dict[str, float] | None:
    """Of a row of each model, where the size is served."""
    return model_cpu_ms(_read(reports, SERVED)) if size.is_served else None


def _read(folder: Path, name: str) -> dict[str, Any]:
    """What a part left; SystemExit where it has not been done."""
    path = folder / f"{name}.json"
    if not path.exists():
        sys.exit(f"{path.relative_to(ROOT)} is not there yet: --only {name},... makes it")
    return _content(path)


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_tables(folder: Path, parts: Mapping[str, Any]) -> None:
    files = {name: part[key] for of, part in parts.items() for name, key in TABLES[of].items() if part[key]}
    for name, records in files.items():
        lines = [_flat(record) for record in records]
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(
                file, fieldnames=list(dict.fromkeys(key for line in lines for key in line))
            )
            writer.writeheader()
            writer.writerows(lines)


TABLES = {
    "scaling": {"contenders": "judged", "differences": "differences", "at-equal-cost": "at_equal_cost"},
    "selections": {"selections": "arms", "selections-published": "published", "selections-fresh": "fresh"},
    "windows": {"windows": "cells"},
    "served": {"served": "cases"},
}
"""Of each part, which records go to which file."""


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested records as columns of dotted names; lists as they stand in a cell."""
    line: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            line |= _flat(value, f"{name}.")
        else:
            line[name] = " ".join(map(str, value)) if isinstance(value, list) else value
    return line


if __name__ == "__main__":
    main()
