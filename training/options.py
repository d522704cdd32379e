"""The options of the command line. Each that is given lands in the namespace under its setting's path.

`--lr 0.1` becomes `training.optimizer.lr`, so what is given can be laid over a recipe as it is.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from training.budget import parse_budget
from training.config import DEVICES, OPTIMIZERS, PRECISIONS, OptimizerConfig, TrainingConfig
from training.data.config import AUGMENTATIONS, DATASETS
from training.errors import ConfigError
from training.recipes import recipe_names
from training.schedule import SCHEDULES
from training.selection.registry import SELECTIONS, UNITS
from training.settings import Settings


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage and leaving; keeps silent about what is not given."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def nested(options: argparse.Namespace) -> Settings:
    """`{"training.optimizer.lr": 0.1}` as tables within tables."""
    settings: Settings = {}
    for path, value in vars(options).items():
        *tables, name = path.split(".")
        inner = settings
        for table in tables:
            inner = inner.setdefault(table, {})
        inner[name] = value
    return settings


def add_dataset_options(parser: Parser, *, required: bool = True) -> None:
    group = parser.add_argument_group("data set")
    group.add_argument(
        "--dataset", dest="dataset.name", required=required, metavar="NAME", help=" | ".join(DATASETS)
    )
    group.add_argument(
        "--data-root",
        dest="dataset.data_root",
        type=Path,
        metavar="FOLDER",
        help="where its files lie (all but digits)",
    )
    group.add_argument(
        "--download", dest="dataset.download", action="store_true", help="fetch it to --data-root"
    )
    group.add_argument(
        "--image-size",
        dest="dataset.image_size",
        type=_image_size,
        metavar="HxW",
        help="size that images of a folder are brought to",
    )
    group.add_argument(
        "--skip-bad",
        dest="dataset.skip_bad",
        action="store_true",
        help="leave out images of a folder that can't be read, and record them",
    )
    group.add_argument(
        "--difficulty",
        dest="dataset.difficulty",
        type=float,
        metavar="D",
        help=f"0 to 1 ({_defaults('difficulty')})",
    )
    group.add_argument(
        "--copies",
        dest="dataset.copies",
        type=int,
        metavar="N",
        help=f"corrupted copies of each image ({_defaults('copies')})",
    )
    group.add_argument("--split-seed", dest="dataset.split_seed", type=int, metavar="N", help="default 0")
    group.add_argument(
        "--train-labels",
        dest="dataset.train_labels",
        type=Path,
        metavar="FILE",
        help=".npy or .npz of labels to train on instead, in the order of the official training set",
    )
    group.add_argument(
        "--train-labels-key", dest="dataset.train_labels_key", metavar="NAME", help="the array in an .npz"
    )
    group.add_argument(
        "--max-train-rows",
        dest="dataset.max_train_rows",
        type=int,
        metavar="N",
        help="train on the first N rows only",
    )


def add_training_options(parser: Parser) -> None:
    usual = TrainingConfig()
    group = parser.add_argument_group("training")
    group.add_argument(
        "--epochs",
        dest="training.epochs",
        type=int,
        metavar="N",
        help=f"of as many updates as there are full batches (default {usual.epochs})",
    )
    group.add_argument(
        "--budget",
        dest="training.budget",
        type=parse_budget,
        metavar="B",
        help="instead of epochs: 5000updates, 1e6samples (run forward) or 90seconds",
    )
    group.add_argument(
        "--batch-size", dest="training.batch_size", type=int, metavar="N", help=f"default {usual.batch_size}"
    )
    group.add_argument(
        "--label-smoothing", dest="training.label_smoothing", type=float, metavar="F", help="default 0"
    )
    group.add_argument(
        "--precision", dest="training.precision", metavar="P", help=_choices(PRECISIONS, usual.precision)
    )
    group.add_argument(
        "--channels-last",
        dest="training.channels_last",
        action=argparse.BooleanOptionalAction,
        help="layout of weights in memory",
    )
    group.add_argument("--device", dest="training.device", metavar="D", help=_choices(DEVICES, usual.device))
    group.add_argument(
        "--threads",
        dest="training.threads",
        type=int,
        metavar="N",
        help="of torch on the CPU, for each member (default 1)",
    )
    _add_optimizer_options(parser)
    _add_selection_options(parser)


def _add_optimizer_options(parser: Parser) -> None:
    usual = OptimizerConfig()
    group = parser.add_argument_group("optimiser")
    path = "training.optimizer"
    group.add_argument(
        "--optimizer", dest=f"{path}.name", metavar="NAME", help=_choices(OPTIMIZERS, usual.name)
    )
    group.add_argument("--lr", dest=f"{path}.lr", type=float, metavar="F", help=f"default {usual.lr}")
    group.add_argument(
        "--weight-decay", dest=f"{path}.weight_decay", type=float, metavar="F", help="default 0"
    )
    group.add_argument(
        "--decay-norms",
        dest=f"{path}.decay_norms",
        action=argparse.BooleanOptionalAction,
        help="weight decay on biases and normalisation too (default yes)",
    )
    group.add_argument(
        "--momentum",
        dest=f"{path}.momentum",
        type=float,
        metavar="F",
        help=f"of sgd, default {usual.momentum}",
    )
    group.add_argument("--nesterov", dest=f"{path}.nesterov", action=argparse.BooleanOptionalAction)
    group.add_argument(
        "--schedule", dest="training.schedule.name", metavar="NAME", help=_choices(SCHEDULES, "cosine")
    )
    group.add_argument(
        "--warmup",
        dest="training.schedule.warmup",
        type=float,
        metavar="F",
        help="first share of the budget, of rising rate (default 0)",
    )


def _add_selection_options(parser: Parser) -> None:
    about = "\n".join(f"{name}: {selection.about}" for name, selection in SELECTIONS.items())
    group = parser.add_argument_group("options of a selection", about)
    path = "training.selection"
    group.add_argument(
        "--select-unit", dest=f"{path}.unit", metavar="UNIT", help=f"what is chosen: {' | '.join(UNITS)}"
    )
    group.add_argument(
        "--reshuffle-every",
        dest=f"{path}.reshuffle_every",
        type=int,
        metavar="K",
        help="deal rows to batches anew every K rounds (0: never)",
    )
    group.add_argument(
        "--full-every", dest=f"{path}.full_every", type=int, metavar="K", help="train all rows every K rounds"
    )
    group.add_argument(
        "--finish",
        dest=f"{path}.finish",
        type=float,
        metavar="F",
        help="train all rows in the last share F of the budget",
    )
    group.add_argument(
        "--keep-order",
        dest=f"{path}.keep_order",
        action="store_true",
        help="cut batches in the order of the data set, without the permutation by the seed",
    )


def augmentation_help() -> str:
    return f"{' | '.join(AUGMENTATIONS)} ({_defaults('augmentation')})"


def selection_help() -> str:
    return f"{' | '.join(SELECTIONS)} (default none)"


def recipe_help() -> str:
    return f"settings to begin from: {' | '.join(recipe_names())}, or a TOML file; options given go before it"


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def floats(text: str) -> list[float | None]:
    """An empty place leaves that member what is usual: `--selection none,hard-batch --delta ,0.3`."""
    return [float(part) if part.strip() else None for part in text.split(",")]


def _choices(names: Iterable[str], default: str) -> str:
    return f"{' | '.join(names)} (default {default})"


def _defaults(setting: str) -> str:
    return ", ".join(f"{name}: {getattr(defaults, setting)}" for name, defaults in DATASETS.items())


def _image_size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) not in (1, 2) or not all(side.isdigit() for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} is neither N nor HxW")
    return int(sides[0]), int(sides[-1])
