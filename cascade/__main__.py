"""`python -m cascade fit | evaluate`: policies from saved outputs, without running a model."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cascade.cascade_file import Cascade, read_cascade, write_cascade
from cascade.errors import CascadeError, FormatError
from cascade.evaluate import evaluate
from cascade.fit import BUDGETED, FitSettings, fit
from cascade.policy import RULES, Policy
from cascade.policy_file import PolicyFile, read_policy_file, write_policy_file
from cascade.replay import replay
from cascade.scores import SCORES
from cascade.scores_file import ScoresFile, read_scores
from cascade.stages import Stages, parse_stages


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (CascadeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cascade", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands.add_parser("fit", help="fit a policy to an objective under a budget"))
    _add_evaluate(commands.add_parser("evaluate", help="judge a policy on a scores file"))
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    defaults = FitSettings()
    parser.set_defaults(command=_fit)
    parser.add_argument("scores", type=Path, metavar="SCORES.npz")
    parser.add_argument("--kind", default=defaults.kind, choices=list(RULES), help="default: %(default)s")
    parser.add_argument(
        "--objective",
        default=defaults.objective,
        help="coverage@risk=R, risk@coverage=C or accuracy; default: %(default)s",
    )
    parser.add_argument(
        "--budget",
        default=defaults.budget,
        help=f"1.2x (stage 1), 0.6full or 3e6macs a row, for {' and '.join(BUDGETED)}; default: %(default)s",
    )
    parser.add_argument("--score", default=defaults.score, choices=list(SCORES), help="default: %(default)s")
    parser.add_argument(
        "--stages", help="scores columns of each stage, as in '0;1,2'; default: one member a stage"
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, help="halves the rows; default: %(default)s"
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, metavar="POLICY.json", help="write the policy alone")
    target.add_argument(
        "--into", type=Path, metavar="NAME.cascade.json", help="add it to a cascade, as --name"
    )
    parser.add_argument("--name", help="the policy's name, with --into")
    parser.add_argument("--overwrite", action="store_true", help="replace a file or policy that is there")
    parser.add_argument(
        "--default", action="store_true", help="make it the cascade's default policy, with --into"
    )


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_evaluate)
    parser.add_argument("scores", type=Path, metavar="SCORES.npz")
    parser.add_argument("--policy", type=Path, required=True, help="a policy's or a cascade's file")
    parser.add_argument("--name", help="which policy of a cascade's file; default: its default policy")
    parser.add_argument("--max-stages", type=int, help="cut every row short after so many stages")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--rows", type=Path, metavar="ROWS.npz", help="write label, score, confidence, ... per row"
    )


def _fit(options: argparse.Namespace) -> None:
    settings = FitSettings(
        kind=options.kind,
        objective=options.objective,
        budget=options.budget,
        score=options.score,
        seed=options.seed,
    )
    scores = read_scores(options.scores)
    if options.into is None:
        _check_free(options)
        stages = parse_stages(options.stages, scores.names)
        policy = fit(scores, stages, settings)
        write_policy_file(options.out, PolicyFile(stages, policy))
    else:
        policy = _fit_into(options, scores, settings)
    cost, coverage, risk = (policy.evidence[key] for key in ("cost", "coverage", "risk"))
    estimates = f"cost {cost:.3f}x, coverage {_percent(coverage)}, risk {_percent(risk)}"
    print(f"{policy.kind} for {policy.objective}: {estimates}")


def _check_free(options: argparse.Namespace) -> None:
    if options.name or options.default:
        raise FormatError("--name and --default go with --into")
    if options.out.exists() and not options.overwrite:
        raise FormatError(f"{options.out} is there; --overwrite replaces it")


def _fit_into(options: argparse.Namespace, scores: ScoresFile, settings: FitSettings) -> Policy:
    if not options.name:
        raise FormatError("--into needs --name, the name that the policy gets in the cascade")
    if options.stages:
        raise FormatError("--stages does not go with --into: the stages belong to the cascade")
    cascade = read_cascade(options.into)
    if options.name in cascade.policies and not options.overwrite:
        raise FormatError(f"{options.into}: policy {options.name!r} is there; --overwrite replaces it")
    _check_outputs_of(cascade, scores)
    policy = fit(scores, cascade.stages, settings)
    write_cascade(options.into, cascade.with_policy(options.name, policy, is_default=options.default))
    return policy


def _check_outputs_of(cascade: Cascade, scores: ScoresFile) -> None:
    """A cascade takes only policies that were fitted on its very members."""
    classes = scores.outputs.shape[2]
    if classes != len(cascade.classes):
        raise FormatError(f"the scores have {classes} classes, {cascade.name!r} has {len(cascade.classes)}")
    for member in cascade.members:
        number = scores.member(member.name)
        if not scores.sha256 or scores.sha256[number] != member.sha256:
            raise FormatError(
                f"the scores are not those of {cascade.name!r}'s {member.name!r}: sha256 differs"
            )
        if scores.macs[number] != member.macs:
            raise FormatError(
                f"{member.name!r} costs {member.macs:g} MACs, in the scores {scores.macs[number]:g}"
            )


def _evaluate(options: argparse.Namespace) -> None:
    stages, policy = _read_policy(options.policy, options.name)
    scores = read_scores(options.scores)
    figures = evaluate(policy, stages, scores, options.max_stages)
    if options.rows:
        _write_rows(options.rows, policy, stages, scores, options.max_stages)
    if options.json:
        print(json.dumps(figures))
        return
    for name in ("accuracy", "coverage", "risk"):
        print(f"{name:10} {_percent([figures[name], *(figures['intervals'][name] or (None, None))])}")
    print(f"{'cost':10} {figures['cost']:.3f}x stage 1 ({figures['cost_macs']:.3g} MACs a row)")
    print(
        f"{'exits':10} {'  '.join(f'stage {k + 1}: {share:.1%}' for k, share in enumerate(figures['exits']))}"
    )


def _read_policy(path: Path, name: str | None) -> tuple[Stages, Policy]:
    if not path.name.endswith(".cascade.json"):
        if name:
            raise FormatError(f"--name goes with a cascade's file; {path} holds one policy")
        alone = read_policy_file(path)
        return alone.stages, alone.policy
    cascade = read_cascade(path)
    chosen = name or cascade.default_policy
    if chosen not in cascade.policies:
        raise FormatError(f"{path}: no policy {chosen!r}; there are: {', '.join(cascade.policies)}")
    return cascade.stages, cascade.policies[chosen]


def _write_rows(
    path: Path, policy: Policy, stages: Stages, scores: ScoresFile, max_stages: int | None
) -> None:
    played = replay(policy, stages, scores, max_stages)
    names = ("label", "score", "confidence", "accepted", "exit_stage")
    np.savez(path, **{name: getattr(played, name) for name in names})


def _percent(estimate: Sequence[float | None]) -> str:
    value, low, high = estimate
    if low is None or high is None:
        return "none accepted"
    return f"{value:.1%} [{low:.1%}, {high:.1%}]"


if __name__ == "__main__":
    sys.exit(main())
