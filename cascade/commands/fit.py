"""`fit`: a policy for an objective under a budget, or the cheapest that reaches a value."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cascade.cascade_file import Cascade, read_cascade
from cascade.commands.files import check_free, check_name_is_free, naming
from cascade.commands.parser import names_in, numbers_in, print_notes
from cascade.commands.promise import promise, value_label, value_source
from cascade.errors import FitError, FormatError
from cascade.fitting.budget import parse_budget
from cascade.fitting.cheapest import cheapest
from cascade.fitting.choice import STANDARD_ERRORS
from cascade.fitting.fit import METHODS, FitSettings, fit
from cascade.fitting.placement import BUDGETED
from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.parse import FORMS, parse_objective
from cascade.policy import KINDS, Policy
from cascade.policy_file import PolicyFile, write_policy_file
from cascade.scores import SCORES
from cascade.scores_file import ScoresFile, read_scores
from cascade.spending import spent_text
from cascade.stages import Stages, parse_stages
from cascade.verdict import deployed_figure
from cascade.versions import replace_cascade

FEW_ROWS = 500
"""Below, intervals are so wide that a target says little."""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("fit", help="fit a policy to an objective under a budget")
    parser.set_defaults(command=run)
    parser.add_argument("scores", type=Path, metavar="SCORES.npz")
    _add_goal(parser.add_argument_group("goal"))
    _add_fitting(parser.add_argument_group("fitting"))
    _add_target(parser)


def _add_goal(group: argparse._ArgumentGroup) -> None:
    defaults = FitSettings()
    group.add_argument("--kind", default=defaults.kind, choices=KINDS, help="default: %(default)s")
    group.add_argument("--objective", default=defaults.objective, help=f"{FORMS}; default: %(default)s")
    bound = group.add_mutually_exclusive_group()
    bound.add_argument(
        "--budget",
        help=f"1.2x (stage 1), 0.6full, 3e6macs or 2.5ms a row, for {' and '.join(BUDGETED)}; "
        f"default: {defaults.budget}",
    )
    bound.add_argument(
        "--reach",
        type=float,
        metavar="VALUE",
        help="the cheapest window that reaches so much of the objective, instead of a budget",
    )
    group.add_argument(
        "--certify",
        type=float,
        metavar="DELTA",
        help="guarantee it: on fresh rows alike the risk exceeds its target with probability DELTA at most",
    )
    group.add_argument("--score", default=defaults.score, choices=list(SCORES), help="default: %(default)s")


def _add_fitting(group: argparse._ArgumentGroup) -> None:
    defaults = FitSettings()
    group.add_argument(
        "--method",
        default=defaults.method,
        choices=METHODS,
        help="paper: the paper's symmetric windows exactly; auto: what cross-validation prefers (default)",
    )
    group.add_argument(
        "--choosing-share",
        type=float,
        default=defaults.choosing_share,
        metavar="S",
        help="of the rows, choosing the rule; the others set the final thresholds; default: 0.5, or 0.2 to "
        "certify",
    )
    group.add_argument(
        "--seed", type=int, default=defaults.seed, help="divides the rows; default: %(default)s"
    )
    group.add_argument(
        "--stages", help="scores columns of each stage, as in '0;1,2'; default: one member a stage"
    )
    group.add_argument(
        "--seconds", metavar="A,B,...", help="seconds per row of each member, in place of the file's own"
    )
    group.add_argument(
        "--ood-families", metavar="A,B,...", help="the families of OOD rows to fit on; default: all"
    )


def _add_target(parser: argparse.ArgumentParser) -> None:
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


def run(options: argparse.Namespace) -> None:
    settings = FitSettings(
        kind=options.kind,
        objective=options.objective,
        budget=options.budget or FitSettings.budget,
        score=options.score,
        method=options.method,
        certify=options.certify,
        choosing_share=options.choosing_share,
        seed=options.seed,
    )
    if options.reach is not None and options.certify is not None:
        raise FitError("--reach does not go with --certify: certify what a --budget gives")
    _check_target(options)
    scores = _scores(options)
    cascade = None if options.into is None else _cascade(options, scores)
    with naming(options.scores):
        stages = cascade.stages if cascade else parse_stages(options.stages, scores.names)
        policy = _fitted(scores, stages, settings, options.reach)
        _check_accepts(policy, settings)
        notes = list(_notes(policy, scores, stages, settings, options.reach))
        cost = _cost(policy, scores, stages)
    if cascade:
        next_version = cascade.with_policy(options.name, policy, is_default=options.default)
        replace_cascade(options.into, cascade, next_version)
    else:
        write_policy_file(options.out, PolicyFile(stages, policy))
    for line in told(policy, settings.method, cost):
        print(line)
    print_notes(notes)


def _check_target(options: argparse.Namespace) -> None:
    if options.into is None:
        if options.name or options.default:
            raise FormatError("--name and --default go with --into")
        check_free("--out", options.out, options.overwrite)
        return
    if not options.name:
        raise FormatError("--into needs --name, the name that the policy gets in the cascade")
    if options.stages:
        raise FormatError("--stages does not go with --into: the stages belong to the cascade")


def _scores(options: argparse.Namespace) -> ScoresFile:
    scores = read_scores(options.scores)
    with naming(options.scores):
        if options.seconds is not None:
            scores = replace(scores, seconds=numbers_in("--seconds", options.seconds), is_checked=True)
        if options.ood_families is not None:
            if not parse_objective(options.objective).uses_ood:
                raise FormatError(f"--ood-families: objective {options.objective} uses no OOD rows")
            scores = scores.ood_of(names_in(options.ood_families))
    return scores


def _cascade(options: argparse.Namespace, scores: ScoresFile) -> Cascade:
    """The cascade that takes the policy: only one that was fitted on its very members."""
    cascade = read_cascade(options.into)
    check_name_is_free(options.into, cascade, options.name, options.overwrite)
    with naming(options.scores):
        _check_outputs_of(cascade, scores)
    return cascade


def _check_outputs_of(cascade: Cascade, scores: ScoresFile) -> None:
    if scores.num_classes != len(cascade.classes):
        raise FormatError(
            f"the scores have {scores.num_classes} classes, {cascade.name!r} has {len(cascade.classes)}"
        )
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


def _fitted(scores: ScoresFile, stages: Stages, settings: FitSettings, reach: float | None) -> Policy:
    if reach is None:
        return fit(scores, stages, settings)
    return cheapest(scores, stages, settings, reach)


def _check_accepts(policy: Policy, settings: FitSettings) -> None:
    """FitError where the policy would accept nothing, which keeps any target and serves nobody."""
    if deployed_figure(settings.parsed_objective) is None or policy.evidence["coverage"][0] != 0:
        return
    rows = f"the {policy.evidence['rows']} rows that set thresholds"
    if settings.certify is None:
        raise FitError(f"no threshold keeps {settings.objective} on {rows}: nothing would be accepted")
    raise FitError(
        f"nothing can be certified for {settings.objective} at delta {settings.certify:g}: {rows} are too "
        "few, or too many of the surest are wrong"
    )


def _notes(
    policy: Policy, scores: ScoresFile, stages: Stages, settings: FitSettings, reach: float | None
) -> Iterator[str]:
    if scores.num_rows < FEW_ROWS:
        yield f"{scores.num_rows} rows are few: intervals are wide, and other rows may give other policies"
    if policy.budget is not None and reach is None:
        budget = parse_budget(policy.budget)
        costs = budget.stage_costs(scores, stages)
        if budget.limit(costs) > sum(costs) * (1 + 1e-9):
            full = spent_text(budget, sum(costs), costs)
            yield f"budget {budget} is more than the full cascade costs ({full})"
    value = policy.evidence["objective_value"]
    if reach is not None and value is not None:
        is_short = value > reach if settings.parsed_objective.is_lower_better else value < reach
        if is_short:
            yield f"on the rows that set its thresholds the policy comes to {value:.4g}, short of {reach:g}"
    no_better = _no_better(policy, scores, stages, settings)
    if no_better:
        yield no_better


def _no_better(policy: Policy, scores: ScoresFile, stages: Stages, settings: FitSettings) -> str | None:
    """A warning where the cascade does no better than its first stage alone."""
    value = policy.evidence["objective_value"]
    if policy.kind == "first" or len(stages) == 1 or value is None:
        return None
    alone = fit(scores, stages, replace(settings, kind="first", certify=None)).evidence["objective_value"]
    lower_is_better = parse_objective(settings.objective).is_lower_better
    if alone is None or (value < alone if lower_is_better else value > alone):
        return None
    return (
        f"on the rows that set its thresholds the policy reaches {settings.objective} of {value:.4g}, "
        f"no better than stage 1 alone ({alone:.4g})"
    )


def _cost(policy: Policy, scores: ScoresFile, stages: Stages) -> str:
    """Evidence counts the cost in multiples of stage 1, in MACs unless the budget is in seconds."""
    multiple = policy.evidence["cost"]
    if policy.budget is None:
        return f"{multiple:.3f}x stage 1"
    budget = parse_budget(policy.budget)
    costs = budget.stage_costs(scores, stages)
    return spent_text(budget, multiple * costs[0], costs)


def told(policy: Policy, method: str, cost: str) -> list[str]:
    """What was fitted, why, and what it does on the rows that set its thresholds."""
    evidence = policy.evidence
    lines = [f"{policy.kind} for {policy.objective}" + (f" within {policy.budget}" if policy.budget else "")]
    if "chosen" in evidence:
        lines.append(f"{'chosen':11}{evidence['chosen']}: {_gain(evidence)}")
    elif policy.kind == "window" and method == "paper":
        lines.append(f"{'chosen':11}the paper's rule, as asked")
    lines += [*_value(policy), f"{'cost':11}{cost}", *_shares(policy)]
    return [*lines, f"{'promise':11}{promise(policy)} ({evidence['rows']} rows that chose nothing else)"]


def _value(policy: Policy) -> list[str]:
    if policy.objective is None:
        return []
    objective, value = parse_objective(policy.objective), policy.evidence["objective_value"]
    text = "none" if value is None else f"{value:.4f} ({value_source(objective)})"
    return [f"{value_label(objective):11}{text}"]


def _shares(policy: Policy) -> list[str]:
    """What the deployed threshold does; a decision accepts nothing that could be wrong."""
    evidence = policy.evidence
    if policy.objective is not None and isinstance(parse_objective(policy.objective), ClassDecision):
        return [f"{'positive':11}{percent(evidence['coverage'])}"]
    lines = [f"{name:11}{percent(evidence[name])}" for name in ("coverage", "risk")]
    if "mixture" in evidence:
        mixture = ", ".join(f"{name} {percent(evidence['mixture'][name])}" for name in ("coverage", "risk"))
        lines.append(f"{'with OOD':11}{mixture}")
    return lines


def _gain(evidence: Mapping[str, Any]) -> str:
    """Why the option was chosen: what it, or the best of those that were not, gained."""
    gains = evidence["gain_over_paper"]
    chosen = evidence["chosen"]
    if chosen in gains:
        gain, error = gains[chosen]
        return f"gains {gain:+.4f} over the paper's rule on held-out rows (standard error {error:.4f})"
    best = max(gains, key=lambda name: gains[name][0] - STANDARD_ERRORS * gains[name][1])
    gain, error = gains[best]
    return f"no richer fit gains enough (the best, {best}: {gain:+.4f}, standard error {error:.4f})"


def percent(estimate: Sequence[float | None]) -> str:
    value, low, high = estimate
    if value is None or low is None or high is None:
        return "none accepted"
    return f"{value:.1%} [{low:.1%}, {high:.1%}]"
