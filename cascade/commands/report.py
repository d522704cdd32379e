"""`python -m cascade report`: what policies cost and give, on one page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cascade.cascade_file import SUFFIX
from cascade.commands.files import is_cascade, read_policy
from cascade.errors import FormatError
from cascade.fitting.fit import FitSettings
from cascade.report.folder import PAGE, check_out
from cascade.report.headline import caveats, lead
from cascade.report.policies import Named
from cascade.report.results import Question
from cascade.scores import SCORES
from cascade.scores_file import ScoresFile, read_scores
from cascade.stages import Stages, parse_stages


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    defaults = FitSettings()
    parser = subparsers.add_parser("report", help="curves, costs, windows and reliability on one page")
    parser.set_defaults(command=report)
    parser.add_argument("scores", type=Path, metavar="SCORES.npz")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to make")
    parser.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="FILE[:NAME]",
        help="judge this policy, or this one of a cascade's file, in place of those fitted here; repeatable",
    )
    parser.add_argument("--test", type=Path, metavar="OTHER.npz", help="rows to judge on; default: 40%%")
    parser.add_argument(
        "--objective", help=f"default: the first --policy's, or {defaults.objective}; as of fit"
    )
    parser.add_argument("--budget", help=f"default: the first --policy's, or {defaults.budget}; as of fit")
    parser.add_argument("--score", choices=list(SCORES), help=f"default: {defaults.score}")
    parser.add_argument(
        "--stages", help="scores columns of each stage, as in '0;1,2'; default: one member a stage"
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, help="divides the rows; default: %(default)s"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a report that is there")


def report(options: argparse.Namespace) -> None:
    check_out(options.out, overwrite=options.overwrite)
    given, stages = _given(options.policy)
    asked = _asked(options, given)
    scores = read_scores(options.scores)
    question = Question(
        source=options.scores.name,
        scores=scores,
        test=None if options.test is None else _read_test(options.test, scores),
        stages=_stages(options, stages, scores),
        asked=asked,
        given=tuple(given),
    )
    from cascade.report.write import write_report  # matplotlib, which other commands need not wait for

    results = write_report(question, options.out, overwrite=options.overwrite, progress=_show)
    _clear()
    print(lead(results))
    for caveat in caveats(results):
        print(caveat)
    print(options.out / PAGE)


def _asked(options: argparse.Namespace, given: list[Named]) -> FitSettings:
    """What is not said is as the first policy of a file has it."""
    defaults = FitSettings()
    policy = given[0].policy if given else None
    return FitSettings(
        objective=options.objective or (policy and policy.objective) or defaults.objective,
        budget=options.budget or (policy and policy.budget) or defaults.budget,
        score=options.score or (policy and _score(policy.score)) or defaults.score,
        seed=options.seed,
    )


def _given(texts: Sequence[str]) -> tuple[list[Named], Stages | None]:
    """Policies of files `FILE` or `NAME.cascade.json:POLICY`, and the stages that all of them share."""
    given: list[Named] = []
    shared = None
    for text in texts:
        path, name = _path_and_name(text)
        stages, policy = read_policy(path, name)
        if shared not in (None, stages):
            raise FormatError(f"{text}: its stages are {_spelt(stages)}, and {texts[0]}'s {_spelt(shared)}")
        given.append(Named(name or path.name.removesuffix(SUFFIX).removesuffix(".json"), policy))
        shared = stages
    return given, shared


def _path_and_name(text: str) -> tuple[Path, str | None]:
    if Path(text).exists() or ":" not in text:
        return Path(text), None
    path, _, name = text.rpartition(":")
    if not is_cascade(Path(path)):
        raise FormatError(f"--policy {text}: a name goes with a cascade's file alone")
    return Path(path), name


def _spelt(stages: Stages | None) -> str:
    return ";".join(",".join(stage) for stage in stages or ())


def _score(name: str) -> str | None:
    """A class decision brings its own."""
    return name if name in SCORES else None


def _stages(options: argparse.Namespace, given: Stages | None, scores: ScoresFile) -> Stages:
    asked = None if options.stages is None else parse_stages(options.stages, scores.names)
    if given is not None and asked is not None and asked != given:
        raise FormatError(f"--stages {options.stages} are not the stages of {options.policy[0]}")
    return given or asked or parse_stages(None, scores.names)


def _read_test(path: Path, scores: ScoresFile) -> ScoresFile:
    """The same members on other rows."""
    test = read_scores(path)
    for what in ("num_classes", "names", "macs", "kind"):
        here, there = getattr(scores, what), getattr(test, what)
        if here != there:
            raise FormatError(f"{path}: {what} is {there}, and in the scores {here}")
    if scores.sha256 and test.sha256 and scores.sha256 != test.sha256:
        raise FormatError(f"{path}: its members are others than those of the scores: sha256 differs")
    return test


def _show(step: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{step}", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
