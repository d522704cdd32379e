"""`evaluate`: what a policy does on a scores file, or what it did in service."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cascade.commands import evaluate_log
from cascade.commands.files import check_free, naming, read_policy
from cascade.commands.parser import names_in, print_notes
from cascade.commands.promise import promise, value_label, value_source
from cascade.errors import FormatError
from cascade.evaluate import evaluate
from cascade.objectives.parse import parse_objective
from cascade.policy import Policy
from cascade.priors import parse_priors
from cascade.replay import replay
from cascade.scores_file import ScoresFile, read_scores
from cascade.stages import Stages

ROWS = ("label", "score", "confidence", "accepted", "exit_stage")


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "evaluate", help="judge a policy on a scores file, or by a server's decision log"
    )
    parser.set_defaults(command=run)
    parser.add_argument("scores", type=Path, nargs="?", metavar="SCORES.npz")
    parser.add_argument("--policy", type=Path, help="a policy's or a cascade's file; goes with SCORES.npz")
    evaluate_log.add(parser)
    parser.add_argument("--name", help="which policy of a cascade's file; default: its default policy")
    parser.add_argument("--max-stages", type=int, help="cut every row short after so many stages")
    parser.add_argument("--failed", default="", metavar="NAME,...", help="members that never answer")
    parser.add_argument(
        "--priors",
        metavar="FILE.json|CLASS=SHARE,...",
        help="how often the classes come where the policy is to serve; rows are weighted accordingly",
    )
    parser.add_argument(
        "--ood-families",
        metavar="A,B,...",
        help="families of OOD rows to judge on; default: all that the policy was not fitted on",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rows", type=Path, metavar="ROWS.npz", help=f"write {', '.join(ROWS)} per row")
    parser.add_argument("--overwrite", action="store_true", help="replace a file of --rows that is there")


def run(options: argparse.Namespace) -> None:
    if evaluate_log.is_asked_for(options):
        evaluate_log.run(options)
        return
    missing = [
        name for name, value in (("SCORES.npz", options.scores), ("--policy", options.policy)) if not value
    ]
    if missing:
        raise FormatError(f"the following arguments are required: {', '.join(missing)} (or --log)")
    if options.rows:
        check_free("--rows", options.rows, options.overwrite)
    stages, policy = read_policy(options.policy, options.name)
    scores = read_scores(options.scores)
    priors = None if options.priors is None else parse_priors(options.priors, scores.num_classes)
    families = None if options.ood_families is None else names_in(options.ood_families)
    failed = names_in(options.failed)
    with naming(options.scores):
        figures = evaluate(
            policy, stages, scores, options.max_stages, failed=failed, priors=priors, ood_families=families
        )
    if options.rows:
        _write_rows(options, policy, stages, scores)
    if options.json:
        print(json.dumps(figures, allow_nan=False))
    else:
        for name, text in _table(figures, policy):
            print(f"{name:12}{text}")
    print_notes(figures["notes"])


def _write_rows(options: argparse.Namespace, policy: Policy, stages: Stages, scores: ScoresFile) -> None:
    failed = names_in(options.failed)
    played = replay(policy, stages, scores, options.max_stages, failed=failed, keep_probabilities=False)
    with options.rows.open("wb") as file:
        np.savez(file, **{name: getattr(played, name) for name in ROWS})


def _table(figures: dict[str, Any], policy: Policy) -> Iterator[tuple[str, str]]:
    """The main figures, as names and texts."""
    rows, effective = figures["rows"], figures["effective_rows"]
    yield "rows", f"{rows}" + (f" (tell as much as {effective:.0f} do)" if effective < rows - 0.5 else "")
    for name in ("accuracy",) if figures["decision"] else ("accuracy", "coverage", "risk"):
        yield name, _with_interval(figures[name], figures["intervals"][name], ".1%")
    if figures["decision"]:
        yield (
            "decision",
            "  ".join(f"{_spaced(name)}: {share:.1%}" for name, share in figures["decision"].items()),
        )
    if figures["objective"]:
        yield "objective", _objective(figures["objective"])
        yield "promise", promise(policy)
        if figures["objective"]["deployed"]:
            yield "target", _target(figures["objective"])
    if figures["aurc"] is not None:
        yield "aurc", _with_interval(figures["aurc"], figures["intervals"]["aurc"])
    if figures["class_risk"]:
        yield "worst class", _worst_class(figures["class_risk"])
    yield "cost", _cost(figures)
    yield "exits", "  ".join(f"stage {k + 1}: {share:.1%}" for k, share in enumerate(figures["exits"]))
    yield "reasons", "  ".join(f"{name}: {share:.1%}" for name, share in figures["exit_reasons"].items())
    for depth, calibration in enumerate(figures["calibration"]):
        if calibration:
            yield f"at stage {depth + 1}", _calibration(calibration)
    if figures["ood"]:
        yield from _ood(figures["ood"])


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _objective(told: dict[str, Any]) -> str:
    objective = parse_objective(told["text"])
    name = "" if value_label(objective) == "value" else f"{value_label(objective)} "
    value = _with_interval(told["value"], told["interval"])
    return f"{objective}: {name}{value} ({value_source(objective)})"


def _target(told: dict[str, Any]) -> str:
    """Whether the deployed threshold keeps what was asked."""
    deployed = told["deployed"]
    bound = "most" if deployed["figure"] == "risk" else "least"
    value = _with_interval(deployed["value"], deployed["interval"], ".1%")
    asked = f"asked for {told['target']:.4g} at {bound}"
    return f"{deployed['verdict']}: deployed {deployed['figure']} {value}, {asked}"


def _with_interval(value: float | None, interval: list[float] | None, form: str = ".4f") -> str:
    if value is None or interval is None:
        return "none accepted" if form == ".1%" else "none"
    low, high = interval
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _worst_class(worst: dict[str, Any]) -> str:
    risk = _with_interval(worst["value"], worst["interval"], ".1%")
    left_out = f"; {worst['left_out']} classes with too few left out" if worst["left_out"] else ""
    return f"{worst['class']}: risk {risk} of {worst['accepted']} accepted rows{left_out}"


def _cost(figures: dict[str, Any]) -> str:
    seconds = f", {figures['cost_seconds'] * 1e3:.3g} ms" if "cost_seconds" in figures else ""
    own = figures["cost_in_budget"]
    budget = ""
    if figures["budget"]:
        spent = f"{own['value']:.4g}{own['unit']} of " if own else ""
        budget = f"; {spent}budget {figures['budget']}"
    return f"{figures['cost']:.3f}x stage 1 in MACs ({figures['cost_macs']:.3g} MACs a row{seconds}){budget}"


def _calibration(depth: dict[str, Any]) -> str:
    loss, error = depth["negative_log_likelihood"], depth["calibration_error"]
    return f"confidence NLL {loss:.4f}  Brier {depth['brier']:.4f}  ECE {error:.4f}  ({depth['rows']} rows)"


def _ood(ood: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield (
        "ood",
        f"accepted {_with_interval(ood['accepted'], ood['interval'], '.1%')}  AUROC {ood['auroc']:.4f}",
    )
    for name, family in ood["families"].items():
        yield (
            f"  {name}",
            f"accepted {family['accepted']:.1%} of {family['rows']}  AUROC {family['auroc']:.4f}",
        )
    if "mixture" in ood:
        told = ood["mixture"]
        shares = {
            name: _with_interval(told[name], told["intervals"][name], ".1%") for name in told["intervals"]
        }
        yield "with OOD", ", ".join(f"{name} {text}" for name, text in shares.items())
