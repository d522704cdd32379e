"""`python -m training compare`."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from training.compare.config import OWN, SETTINGS, comparison
from training.config import OutputConfig
from training.errors import ConfigError
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


def compare(arguments: Sequence[str]) -> str:
    given = nested(_make_parser().parse_args(list(arguments)))
    output = OutputConfig(
        out=given.pop("out"),
        resume=given.pop("resume", False),
        jobs=given.pop("jobs", num_cores()),
        checkpoint_s=given.pop("checkpoint_s", 60.0),
    )
    config = comparison(_placed(given))
    _check_out(output)
    prepare(output.jobs)
    from training.compare.campaign import compare as run

    command = shlex.join(["python", "-m", "training", "compare", *arguments])
    num_runs = run(config, output, command)
    return f"{output.out / 'report.md'}: {num_runs} runs compared"


def _placed(given: Settings) -> Settings:
    if "augmentation" in given:
        given.setdefault("training", {})["augmentation"] = given.pop("augmentation")
    return given


def _check_out(output: OutputConfig) -> None:
    out = output.out
    if output.resume and not (out / SETTINGS).is_file():
        raise ConfigError(f"there is no comparison in {out} to resume")
    if not output.resume and out.exists():
        raise ConfigError(f"out {out} exists already: choose another, or go on with it by --resume")


def _make_parser() -> Parser:
    parser = Parser(
        "python -m training compare",
        "Train one model under several selections and seeds at equal budgets, and say which is better.\n"
        "The budget in updates, samples run forward or seconds (--budget) holds for every run; the learning\n"
        "rate comes down to zero in it (schedule cosine). Judged are the last weights, on the test split.",
    )
    group = parser.add_argument_group("comparison")
    group.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="for runs and report")
    group.add_argument("--recipe", metavar="NAME", help=recipe_help())
    group.add_argument("--model", metavar="NAME", help="a name as for --models")
    group.add_argument(
        "--selections",
        required=True,
        type=names,
        metavar="NAME[:DELTA],...",
        help=f"at every delta, or at their own: {selection_help()}; differences are to `none`",
    )
    group.add_argument("--deltas", type=floats, metavar="F,...", help="default 0.5")
    group.add_argument(
        "--seeds", type=int, metavar="N", help="0 to N-1, each with all selections (default 3)"
    )
    group.add_argument(
        "--labels",
        type=names,
        metavar="NAME,...",
        help=f"label sets to train on: {OWN} (the data set's), or arrays of the --train-labels file",
    )
    group.add_argument(
        "--target-accuracy", type=float, metavar="F", help="count the updates to this validation accuracy"
    )
    group.add_argument("--augmentation", metavar="NAME", help=augmentation_help())
    group.add_argument("--earlier", type=Path, metavar="RUN", help="the members before, for cascade-aware")
    group.add_argument(
        "--resume", action="store_true", help="go on with it; seeds, selections and label sets may be added"
    )
    group.add_argument("--jobs", type=int, metavar="N", help="runs side by side (default: as many as cores)")
    group.add_argument(
        "--checkpoint-seconds", dest="checkpoint_s", type=float, metavar="S", help="default 60"
    )
    add_dataset_options(parser)
    add_training_options(parser)
    return parser
