"""The command line: arguments to a RunConfig, errors to one line."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from training.checks import one_of
from training.config import (
    AUGMENTATIONS,
    OPTIMIZERS,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    SelectionConfig,
    TrainingConfig,
)
from training.data.config import DATASETS, DatasetConfig
from training.errors import ConfigError, TrainingError
from training.schedule import SCHEDULES
from training.selection.rules import SELECTIONS
from training.workers import warm_up

BAD_INPUT = 2
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        config = parse(arguments)
        print(_train(config, shlex.join(["python", "-m", "training", *arguments])))
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
        print("error: interrupted, nothing was written", file=sys.stderr)
        return INTERRUPTED
    return 0


def parse(arguments: Sequence[str]) -> RunConfig:
    """Raises ConfigError. Settled without torch, whose import takes seconds."""
    options = _make_parser().parse_args(arguments)
    models = tuple(name.strip() for name in options.models.split(","))
    return RunConfig(
        out=options.out,
        models=models,
        dataset=_dataset_config(options),
        training=_training_config(options),
        jobs=min(len(models), _num_cores()) if options.jobs is None else options.jobs,
        overwrite=options.overwrite,
    )


def _train(config: RunConfig, command: str) -> str:
    # Both must precede the import of torch: idle threads are to sleep rather than spin, and the server that
    # workers come from imports it at the same time as this process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if config.jobs > 1:
        warm_up()
    from training.runs import make_run

    summary = make_run(config, command)
    accuracies = ", ".join(f"{accuracy:.1%}" for accuracy in summary.validation_accuracies)
    return f"{summary.folder}: {len(config.models)} members, validation accuracy {accuracies}"


def _dataset_config(options: argparse.Namespace) -> DatasetConfig:
    one_of("dataset", options.dataset, DATASETS)
    defaults = DATASETS[options.dataset]
    return DatasetConfig(
        name=options.dataset,
        difficulty=defaults.difficulty if options.difficulty is None else options.difficulty,
        copies=defaults.copies if options.copies is None else options.copies,
        split_seed=options.split_seed,
        data_root=options.data_root,
        download=options.download,
        image_size=options.image_size,
        max_train_rows=options.max_train_rows,
    )


def _training_config(options: argparse.Namespace) -> TrainingConfig:
    delta = options.delta
    if delta is None:
        delta = 1.0 if options.selection == "none" else 0.5
    return TrainingConfig(
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.seed,
        augmentation=_augmentation(options),
        optimizer=OptimizerConfig(
            name=options.optimizer,
            lr=options.lr,
            weight_decay=options.weight_decay,
            momentum=_momentum(options),
        ),
        schedule=ScheduleConfig(name=options.schedule, warmup_updates=options.warmup_updates),
        selection=SelectionConfig(name=options.selection, delta=delta),
    )


def _augmentation(options: argparse.Namespace) -> str:
    defaults = DATASETS[options.dataset]
    return defaults.augmentation if options.augmentation is None else str(options.augmentation)


def _momentum(options: argparse.Namespace) -> float:
    if options.momentum is None:
        return OptimizerConfig.momentum
    if options.optimizer == "adamw":
        raise ConfigError(f"momentum {options.momentum} has no meaning with optimizer adamw")
    return float(options.momentum)


def _make_parser() -> Parser:
    parser = Parser(
        prog="python -m training",
        description="Train the members of an ensemble and write them as a run.",
        allow_abbrev=False,
    )
    _add_run_options(parser.add_argument_group("run"))
    _add_dataset_options(parser.add_argument_group("data set"))
    _add_training_options(parser.add_argument_group("training"))
    return parser


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--models",
        required=True,
        metavar="A,B,...",
        help="one member each: a timm name, torchvision:NAME, or resnet8, resnet14, resnet20, resnet32",
    )
    group.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="the run's folder")
    group.add_argument("--overwrite", action="store_true", help="replace the run that is there")
    group.add_argument(
        "--jobs", type=int, metavar="N", help="members trained side by side (default: as many as cores)"
    )


def _add_dataset_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--dataset",
        required=True,
        metavar="NAME",
        help=f"{' | '.join(DATASETS)}; training rows of the last two are shifted and mirrored",
    )
    group.add_argument("--data-root", type=Path, metavar="FOLDER", help="where cifar10 or folder lies")
    group.add_argument("--download", action="store_true", help="fetch cifar10 to --data-root")
    group.add_argument(
        "--image-size", type=_image_size, metavar="HxW", help="size that images of a folder are brought to"
    )
    group.add_argument("--difficulty", type=float, metavar="D", help=f"0 to 1 ({_defaults('difficulty')})")
    group.add_argument(
        "--copies", type=int, metavar="N", help=f"corrupted copies of each image ({_defaults('copies')})"
    )
    group.add_argument("--split-seed", type=int, default=0, metavar="N", help="default %(default)s")
    group.add_argument("--max-train-rows", type=int, metavar="N", help="train on the first N rows only")


def _add_training_options(group: argparse._ArgumentGroup) -> None:
    training, optimizer, schedule = TrainingConfig(), OptimizerConfig(), ScheduleConfig()
    group.add_argument("--selection", default="none", metavar="NAME", help=_choices(SELECTIONS, "none"))
    group.add_argument("--delta", type=float, metavar="F", help="share of batches in a round (default 0.5)")
    group.add_argument("--epochs", type=int, default=training.epochs, metavar="N", help="default %(default)s")
    group.add_argument(
        "--batch-size", type=int, default=training.batch_size, metavar="N", help="default %(default)s"
    )
    group.add_argument(
        "--augmentation",
        metavar="NAME",
        help=f"{' | '.join(AUGMENTATIONS)}, which shifts and mirrors training rows at random "
        f"({_defaults('augmentation')})",
    )
    group.add_argument("--lr", type=float, default=optimizer.lr, metavar="F", help="default %(default)s")
    group.add_argument(
        "--optimizer", default=optimizer.name, metavar="NAME", help=_choices(OPTIMIZERS, optimizer.name)
    )
    group.add_argument(
        "--weight-decay", type=float, default=optimizer.weight_decay, metavar="F", help="default %(default)s"
    )
    group.add_argument("--momentum", type=float, metavar="F", help=f"of sgd, default {optimizer.momentum}")
    group.add_argument(
        "--schedule", default=schedule.name, metavar="NAME", help=_choices(SCHEDULES, schedule.name)
    )
    group.add_argument(
        "--warmup-updates",
        type=int,
        default=0,
        metavar="N",
        help="updates of rising rate (default 0)",
    )
    group.add_argument(
        "--seed", type=int, default=training.seed, metavar="N", help="of member 0; member i has seed + i"
    )


def _choices(names: Iterable[str], default: str) -> str:
    return f"{' | '.join(names)} (default {default})"


def _defaults(setting: str) -> str:
    return ", ".join(f"{name}: {getattr(defaults, setting)}" for name, defaults in DATASETS.items())


def _image_size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) not in (1, 2) or not all(side.isdigit() for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} is neither N nor HxW")
    return int(sides[0]), int(sides[-1])


def _num_cores() -> int:
    return len(os.sched_getaffinity(0))
