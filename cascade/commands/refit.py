"""`refit`: windows laid again over shifted rows without labels, so that the budget holds again."""

import argparse
from dataclasses import replace
from pathlib import Path

from cascade.cascade_file import read_cascade
from cascade.commands.files import check_free, check_name_is_free, is_cascade, naming, read_policy
from cascade.commands.parser import numbers_in
from cascade.errors import FormatError
from cascade.fitting.budget import parse_budget
from cascade.fitting.refit import cost_on, costs_for, refit
from cascade.policy import Policy
from cascade.policy_file import PolicyFile, write_policy_file
from cascade.scores_file import ScoresFile, read_scores
from cascade.spending import spent_text
from cascade.stages import Stages
from cascade.versions import replace_cascade


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("refit", help="lay windows again over shifted, unlabelled rows")
    parser.set_defaults(command=run)
    parser.add_argument("policy", type=Path, metavar="POLICY.json", help="a policy's or a cascade's file")
    parser.add_argument("--name", help="which policy of a cascade's file; default: its default policy")
    parser.add_argument(
        "--scores", type=Path, required=True, metavar="SHIFTED.npz", help="outputs; labels may be absent"
    )
    parser.add_argument(
        "--seconds", metavar="A,B,...", help="seconds per row of each member, in place of the file's own"
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, metavar="NEW.json", help="write the policy alone")
    target.add_argument(
        "--as", dest="new_name", metavar="NEWNAME", help="write it into the cascade, under this name"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file or policy that is there")


def run(options: argparse.Namespace) -> None:
    _check_target(options)
    stages, policy = read_policy(options.policy, options.name)
    scores = read_scores(options.scores, labelled=False)
    with naming(options.scores):
        if options.seconds is not None:
            seconds = numbers_in("--seconds", options.seconds)
            scores = replace(scores, seconds=seconds, is_checked=True)
        new = refit(policy, stages, scores)
        before = cost_on(policy, stages, scores)
    if options.out:
        write_policy_file(options.out, PolicyFile(stages, new))
    else:
        cascade = read_cascade(options.policy)
        replace_cascade(options.policy, cascade, cascade.with_policy(options.new_name, new))
    after = new.evidence["refitted"]["cost"]
    spent = [_spent(policy, stages, scores, cost) for cost in (before, after)]
    budget = f" (budget {policy.budget})" if policy.budget else ""
    print(f"cost on {scores.num_rows} rows: {spent[0]} before, {spent[1]} after{budget}")
    if policy.evidence.get("certified"):
        print("the certificate is dropped: its rows were not these")
    print(
        "thresholds and confidences were left as they were, so the target is no longer promised on shifted "
        "rows: judge the policy with evaluate on labelled ones"
    )


def _spent(policy: Policy, stages: Stages, scores: ScoresFile, multiple: float) -> str:
    if policy.budget is None:
        return f"{multiple:.3f}x stage 1"
    costs = costs_for(policy, stages, scores)
    return spent_text(parse_budget(policy.budget), multiple * costs[0], costs)


def _check_target(options: argparse.Namespace) -> None:
    if options.out:
        check_free("--out", options.out, options.overwrite)
        return
    if not is_cascade(options.policy):
        raise FormatError(f"--as goes with a cascade's file; {options.policy} holds one policy")
    cascade = read_cascade(options.policy)
    check_name_is_free(options.policy, cascade, options.new_name, options.overwrite)
