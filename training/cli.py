"""The command line: arguments to a configuration, errors to one line."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from training.assemble import assemble
from training.config import OutputConfig, RunConfig
from training.errors import ConfigError, TrainingError
from training.options import (
    Parser,
    add_dataset_options,
    add_training_options,
    augmentation_help,
    floats,
    names,
    nested,
    recipe_help,
    selection_help,
)
from training.settings import Settings
from training.workers import num_cores, prepare

BAD_INPUT = 2
INTERRUPTED = 130
WHERE = ("out", "overwrite", "resume", "member", "jobs", "checkpoint_s")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["compare"]:
        from training.compare.cli import compare

        return guarded(lambda: compare(arguments[1:]))
    return guarded(lambda: train(arguments))


def guarded(work: Callable[[], str]) -> int:
    """Prints what work has to say, if anything; an error is one line and a status."""
    try:
        if told := work():
            print(told)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed: pip install '.[training]'", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("error: interrupted; what has been begun can be gone on with by --resume", file=sys.stderr)
        return INTERRUPTED
    return 0


def train(arguments: Sequence[str]) -> str:
    given, output = parse(arguments)
    config = None if given is None else assemble(given)
    prepare(output.jobs)
    from training.resume import recorded
    from training.runs import make_run
    from training.team import teamed

    command = shlex.join(["python", "-m", "training", *arguments])
    with teamed() as team:
        summary = make_run(config or recorded(output), output, command, team)
        if not team.is_first:
            return ""
    trained = [f"{accuracy:.1%}" for accuracy in summary.validation_accuracies if accuracy is not None]
    total = len(summary.validation_accuracies)
    members = f"{total} member{'s' if total > 1 else ''}"
    if summary.is_whole:
        return f"{summary.folder}: {members}, validation accuracy {', '.join(trained)}"
    return f"{summary.folder}: {len(trained)} of {members} trained"


def parse(arguments: Sequence[str]) -> tuple[Settings | None, OutputConfig]:
    """Settings, None where a run is to be gone on with by those it began with; and where it goes.

    Raises ConfigError. Settled without torch, whose import takes seconds.
    """
    given = nested(_make_parser(arguments).parse_args(list(arguments)))
    where = {name: given.pop(name) for name in WHERE if name in given}
    jobs = where.pop("jobs", None)
    output = OutputConfig(**where, jobs=num_cores() if jobs is None else jobs)
    if given and "name" not in given.get("dataset", {}):
        raise ConfigError("--resume takes no settings, or all that the run began with: --dataset is missing")
    return (given or None), output


def parse_config(arguments: Sequence[str]) -> RunConfig:
    given, _ = parse(arguments)
    if given is None:
        raise ConfigError("no settings are given")
    return assemble(given)


def _make_parser(arguments: Sequence[str]) -> Parser:
    parser = Parser(
        "python -m training",
        "Train the members of an ensemble and write them as a run.\n"
        "`python -m training compare` sets selections side by side; see its --help.",
    )
    _add_run_options(parser)
    add_dataset_options(parser, required="--resume" not in arguments)
    add_training_options(parser)
    return parser


def _add_run_options(parser: Parser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="the run's folder")
    group.add_argument("--recipe", metavar="NAME", help=recipe_help())
    group.add_argument(
        "--models",
        type=names,
        metavar="A,B,...",
        help="one member each: a timm name, torchvision:NAME, small:NAME for either with a stem for small "
        "images, or resnet8, resnet14, resnet20, resnet32, resnet56 and their widths (resnet8x0.5)",
    )
    group.add_argument("--members", type=int, metavar="N", help="how many, where one model is named")
    group.add_argument("--selection", type=names, metavar="NAME[,...]", help=selection_help())
    group.add_argument(
        "--delta", type=floats, metavar="F[,...]", help="share that a round trains (default 0.5)"
    )
    group.add_argument("--augmentation", type=names, metavar="NAME[,...]", help=augmentation_help())
    group.add_argument("--seed", type=int, metavar="N", help="mixed with each member's number (default 0)")
    group.add_argument("--overwrite", action="store_true", help="replace the run that is there")
    group.add_argument(
        "--resume", action="store_true", help="go on with an unfinished run; other settings need not be given"
    )
    group.add_argument(
        "--member", type=int, metavar="I", help="train this member alone, beside others doing the rest"
    )
    group.add_argument(
        "--jobs", type=int, metavar="N", help="members trained side by side (default: as many as cores)"
    )
    group.add_argument(
        "--checkpoint-seconds",
        dest="checkpoint_s",
        type=float,
        metavar="S",
        help="between checkpoints of a member (default 60)",
    )
