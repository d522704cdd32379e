"""A run: members trained on one data set, and the folder that holds them.

run.json                        data set, classes, input, members, versions
splits/{calibration,test,ood}.npz
member-0/                       model.safetensors, member.json, metrics.csv
member-1/ ...
"""

import json
import platform
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.config import RunConfig, TrainingConfig
from training.data.datasets import Dataset, load_dataset
from training.data.splits import write_split
from training.errors import ConfigError
from training.members import MemberTask, make_member
from training.models import ModelSpec, build_model, check_model_name
from training.staging import staged
from training.workers import run_all

FORMAT_VERSION = 1
WRITTEN_SPLITS = ("calibration", "test", "ood")
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    folder: Path
    validation_accuracies: tuple[float, ...]


def make_run(config: RunConfig, command: str) -> RunSummary:
    """Trains and writes all members. The folder appears whole or not at all."""
    for name in config.models:
        check_model_name(name)
    dataset = load_dataset(config.dataset)
    _check_fits(config.training, len(dataset.train))
    specs = _make_specs(config, dataset)
    with staged(config.out, overwrite=config.overwrite) as staging:
        _write_splits(staging / "splits", dataset)
        accuracies = run_all(make_member, _make_tasks(config, dataset, specs, staging), config.jobs)
        manifest = json.dumps(_manifest(config, dataset, command), indent=2, allow_nan=False)
        (staging / "run.json").write_text(manifest + "\n", encoding="utf-8")
    return RunSummary(folder=config.out, validation_accuracies=tuple(accuracies))


def pixel_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of pixels scaled to [0, 1]."""
    levels = np.arange(256) / 255
    means, stds = [], []
    for channel in np.moveaxis(images, -1, 0):
        # Counting levels is exact and needs no floating-point copy of the data set.
        counts = np.bincount(channel.ravel(), minlength=256)
        mean = float(np.average(levels, weights=counts))
        variance = float(np.average((levels - mean) ** 2, weights=counts))
        means.append(mean)
        # A channel that never changes would divide by zero.
        stds.append(max(variance**0.5, 1 / 255))
    return tuple(means), tuple(stds)


def _check_fits(training: TrainingConfig, num_rows: int) -> None:
    if training.batch_size > num_rows:
        raise ConfigError(
            f"batch_size must be at most the {num_rows} rows of the train split, got {training.batch_size}"
        )
    num_updates = training.epochs * (num_rows // training.batch_size)
    warmup_updates = training.schedule.warmup_updates
    if warmup_updates >= num_updates:
        raise ConfigError(
            f"warmup_updates must be below the {num_updates} updates of the run, got {warmup_updates}"
        )


def _make_specs(config: RunConfig, dataset: Dataset) -> list[ModelSpec]:
    """Each model is built once, so that one that can't take the input fails before anything is written."""
    _, height, width, channels = dataset.train.images.shape
    mean, std = pixel_statistics(dataset.train.images)
    specs = [
        ModelSpec(
            name=name,
            height=height,
            width=width,
            channels=channels,
            num_classes=len(dataset.classes),
            mean=mean,
            std=std,
        )
        for name in config.models
    ]
    for spec in set(specs):
        build_model(spec)
    return specs


def _make_tasks(
    config: RunConfig, dataset: Dataset, specs: list[ModelSpec], staging: Path
) -> list[MemberTask]:
    return [
        MemberTask(
            index=index,
            folder=staging / f"member-{index}",
            spec=spec,
            training=replace(config.training, seed=config.training.seed + index),
            train=dataset.train,
            validation=dataset.validation,
        )
        for index, spec in enumerate(specs)
    ]


def _write_splits(folder: Path, dataset: Dataset) -> None:
    folder.mkdir()
    for name in WRITTEN_SPLITS:
        write_split(folder / f"{name}.npz", dataset.splits[name])


def _manifest(config: RunConfig, dataset: Dataset, command: str) -> dict[str, Any]:
    settings = asdict(config.dataset) | {"data_root": str(config.dataset.data_root or "") or None}
    sizes = {name: len(split) for name, split in dataset.splits.items()}
    return {
        "format_version": FORMAT_VERSION,
        "name": config.out.name,
        "dataset": settings | {"sizes": sizes},
        "classes": list(dataset.classes),
        "input": {"name": "image", "datatype": "UINT8", "shape": [-1, *dataset.train.images.shape[1:]]},
        "members": [f"member-{index}" for index in range(len(config.models))],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "command": command,
    }
