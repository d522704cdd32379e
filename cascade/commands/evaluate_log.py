"""`evaluate --log`: what policies did in service, and how often they erred on rows whose labels are known."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cascade.cascade_file import read_cascade
from cascade.commands.parser import print_notes
from cascade.decision_log import log_files
from cascade.errors import FormatError
from cascade.labels_file import Labels, read_labels
from cascade.live import live_figures

OF_A_REPLAY = ("scores", "policy", "name", "max_stages", "failed", "priors", "ood_families", "rows")
OF_A_LOG = ("log", "labels", "cascade")


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("by a decision log", "in place of SCORES.npz and --policy")
    group.add_argument(
        "--log", type=Path, nargs="+", metavar="PATH", help="files of a server's decision log, or its folder"
    )
    group.add_argument(
        "--labels", type=Path, metavar="FILE", help="request_id, row and label, as .csv or .parquet"
    )
    group.add_argument(
        "--cascade", type=Path, metavar="FILE", help="a cascade's file: labels are names of its classes"
    )


def is_asked_for(options: argparse.Namespace) -> bool:
    """FormatError where an option goes with another one's input."""
    if options.log is None:
        _refuse(options, OF_A_LOG, "goes with --log")
        return False
    _refuse(options, OF_A_REPLAY, "does not go with --log")
    if options.cascade is not None and options.labels is None:
        raise FormatError("--cascade goes with --labels")
    return True


def _refuse(options: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if getattr(options, name) not in (None, ""):
            option = "SCORES.npz" if name == "scores" else f"--{name.replace('_', '-')}"
            raise FormatError(f"{option} {why}")


def run(options: argparse.Namespace) -> None:
    files = log_files(options.log)
    figures = live_figures(files, _labels(options))
    if options.json:
        print(json.dumps(figures, allow_nan=False))
    else:
        for name, text in _table(figures):
            print(f"{name:12}{text}".rstrip())
    print_notes(_notes(figures["labels"]))


def _labels(options: argparse.Namespace) -> Labels | None:
    if options.labels is None:
        return None
    classes = None if options.cascade is None else read_cascade(options.cascade).classes
    return read_labels(options.labels, classes)


def _notes(used: dict[str, int] | None) -> Iterator[str]:
    if used is None:
        return
    if used["repeated"]:
        yield f"{used['repeated']} lines of the labels repeat others"
    if used["unknown"]:
        yield f"{used['unknown']} of {used['labels']} labels are of rows that the log does not have"
    if used["ambiguous"]:
        yield (
            f"{used['ambiguous']} rows are left without a label: their model's log has their request_id and "
            "row more than once"
        )


def _table(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    log = figures["log"]
    span = f", {log['from']} to {log['to']}" if log["rows"] else ""
    yield "log", f"{log['rows']} rows in {log['files']} files{span}"
    for told in figures["policies"]:
        yield "", ""
        yield "model", f"{told['model']}, version {told['cascade_version']}, policy {told['policy']}"
        yield from _policy(told)


def _policy(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    intervals = told["intervals"]
    yield "rows", f"{told['rows']} ({told['labelled']} with a label)"
    yield "coverage", _of_labelled(told, "coverage", ".1%")
    yield "risk", _share(told["risk"], intervals["risk"], f"of {told['labelled_accepted']} accepted")
    yield "accuracy", _share(told["accuracy"], intervals["accuracy"], f"of {told['labelled']}")
    yield "confidence", _of_labelled(told, "confidence", ".3f")
    yield "degraded", f"{told['degraded']:.1%}"
    yield "exits", "  ".join(f"stage {k + 1}: {share:.1%}" for k, share in enumerate(told["exits"]))
    yield "reasons", "  ".join(f"{name}: {share:.1%}" for name, share in told["exit_reasons"].items())


def _of_labelled(told: dict[str, Any], name: str, form: str) -> str:
    of_labelled = told[f"{name}_of_labelled"]
    aside = "" if of_labelled is None else f" ({of_labelled:{form}} of those with a label)"
    return f"{told[name]:{form}}{aside}"


def _share(value: float | None, interval: list[float] | None, of: str) -> str:
    if value is None or interval is None:
        return "unknown"
    return f"{value:.1%} [{interval[0]:.1%}, {interval[1]:.1%}] {of}"
