"""A run: members trained on one data set, and the folder that holds them.

run.json                        settings, data set, classes, input, members, versions
splits/{calibration,test,ood}.npz
member-0/                       model.safetensors, member.json, metrics.csv, updates.csv, selection.npz,
                                curves.png, tensorboard/
member-1/ ...
"""

import json
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.atomic import replacing
from training.config import OutputConfig, RunConfig, TrainingConfig
from training.data.datasets import Dataset, load_dataset
from training.data.splits import write_split
from training.errors import ConfigError, DivergedError
from training.members import is_finished, make_member, validation_accuracy
from training.models import ModelSpec, build_model, check_model_name
from training.seeds import Seeds
from training.session import Task, clear_working_files, held
from training.settings import differences
from training.staging import MANIFEST, check_place, discard_unfinished, is_run, prepared, publish
from training.team import ALONE, Team, check_divides
from training.workers import run_all

FORMAT_VERSION = 1
WRITTEN_SPLITS = ("calibration", "test", "ood")
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """validation_accuracies: None for members that are not trained yet."""

    folder: Path
    validation_accuracies: tuple[float | None, ...]

    @property
    def is_whole(self) -> bool:
        return None not in self.validation_accuracies


def make_run(config: RunConfig, output: OutputConfig, command: str, team: Team = ALONE) -> RunSummary:
    """Trains and writes all members, or the one asked for. The run takes its place with its last member."""
    check_place(output)
    _check_member(config, output)
    if _is_done(output):
        check_same(output.out, config)
        return _summary(output.out, len(config.members))
    for name in {member.model for member in config.members}:
        check_model_name(name)
    dataset = _load(config, team)
    if dataset.skipped and team.is_first:
        print(f"left out {len(dataset.skipped)} unreadable images; run.json names them", file=sys.stderr)
    for member in config.members:
        check_fits(member.training, len(dataset.train), team.size)
    specs = make_specs([member.model for member in config.members], dataset)
    if _is_done(output):
        # By others, while the data set was read.
        return _summary(output.out, len(config.members))
    tasks = _make_tasks(config, output, dataset, specs)
    _prepare(config, output, dataset, command, team)
    was_begun_here = not output.joins
    try:
        for wave in _waves(tasks):
            _train(wave, output, team)
    except DivergedError:
        # Other settings are needed, and so another run; but what others have finished is not thrown away.
        is_bare = not any(is_finished(task.folder) for task in tasks)
        if was_begun_here and is_bare and team.is_first:
            discard_unfinished(OutputConfig(out=output.out, overwrite=True))
        raise
    return _finish(config, output, team)


def _load(config: RunConfig, team: Team) -> Dataset:
    """One process first: it may have to download, and no other may do so beside it."""
    if team.is_first:
        dataset = load_dataset(config.dataset)
    team.wait()
    return dataset if team.is_first else load_dataset(config.dataset)


def check_same(folder: Path, config: RunConfig, fingerprint: str | None = None) -> None:
    """ConfigError, saying which, where settings or data are not those that the run in `folder` began with."""
    manifest = read_manifest(folder)
    changes = differences(manifest["settings"], config.settings)
    if fingerprint is not None and fingerprint != manifest["dataset"]["fingerprint"]:
        changes.append("the images or labels of the data set have changed")
    if changes:
        more = f", and {len(changes) - 5} more" if len(changes) > 5 else ""
        raise ConfigError(f"{folder} was begun with other settings: {'; '.join(changes[:5])}{more}")


def read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from error
    found = manifest.get("format_version") if isinstance(manifest, dict) else None
    if found != FORMAT_VERSION:
        raise ConfigError(f"{path} has format_version {found!r}; known is {FORMAT_VERSION}")
    if "settings" not in manifest:
        raise ConfigError(
            f"{path} holds no settings: an older version wrote it, and it can't be gone on with"
        )
    return dict(manifest)


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


def check_fits(training: TrainingConfig, num_rows: int, num_processes: int = 1) -> None:
    if training.batch_size > num_rows:
        raise ConfigError(
            f"batch_size must be at most the {num_rows} rows of the train split, got {training.batch_size}"
        )
    check_divides(training.batch_size, num_processes)


def make_specs(models: list[str], dataset: Dataset) -> list[ModelSpec]:
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
        for name in models
    ]
    for spec in set(specs):
        build_model(spec)
    return specs


def _prepare(config: RunConfig, output: OutputConfig, dataset: Dataset, command: str, team: Team) -> None:
    """The unfinished run's folder, made here or found and checked."""
    # Nobody may find it before having checked that it isn't there.
    team.wait()
    if team.is_first:
        if output.overwrite and not output.resume:
            _check_idle(output.partial)
        discard_unfinished(output)
        if not output.partial.exists():
            with prepared(output.partial) as folder:
                _write_splits(folder / "splits", dataset)
                text = json.dumps(_manifest(config, output, dataset, command), indent=2, allow_nan=False)
                with replacing(folder / MANIFEST) as file:
                    file.write(text.encode() + b"\n")
    team.wait()
    check_same(output.partial, config, dataset.fingerprint)


def _check_idle(partial: Path) -> None:
    """ConfigError where another process is at work on a member."""
    for folder in partial.glob("member-*"):
        with held(folder):
            pass


def _is_done(output: OutputConfig) -> bool:
    return output.joins and not output.partial.exists() and is_run(output.out)


def _train(tasks: list[Task], output: OutputConfig, team: Team) -> None:
    if team.size > 1:
        for task in tasks:
            make_member(task, team)
    else:
        run_all(make_member, tasks, min(output.jobs, len(tasks)))


def _finish(config: RunConfig, output: OutputConfig, team: Team) -> RunSummary:
    num_members = len(config.members)
    summary = _summary(output.partial, num_members)
    team.wait()
    if not summary.is_whole:
        # Another process may have put the run into its place since this one trained its member.
        return summary if output.partial.exists() else _summary(output.out, num_members)
    if team.is_first:
        # Another process may be about to, or was killed before it did.
        for index in range(num_members):
            clear_working_files(member_folder(output.partial, index))
        publish(output)
    return RunSummary(folder=output.out, validation_accuracies=summary.validation_accuracies)


def _summary(folder: Path, num_members: int) -> RunSummary:
    folders = [member_folder(folder, index) for index in range(num_members)]
    return RunSummary(
        folder=folder,
        validation_accuracies=tuple(validation_accuracy(member) for member in folders),
    )


def member_folder(run: Path, index: int) -> Path:
    return run / f"member-{index}"


def _make_tasks(
    config: RunConfig, output: OutputConfig, dataset: Dataset, specs: list[ModelSpec]
) -> list[Task]:
    folders = [member_folder(output.partial, index) for index in range(len(specs))]
    tasks = [
        Task(
            name=folders[index].name,
            folder=folders[index],
            spec=spec,
            training=member.training,
            seeds=Seeds(seed=config.seed, member=index),
            train=dataset.train,
            validation=dataset.validation,
            earlier=tuple(folders[:index]) if member.training.selection.needs_earlier else (),
            checkpoint_s=output.checkpoint_s,
            position=index,
        )
        for index, (member, spec) in enumerate(zip(config.members, specs, strict=True))
    ]
    return tasks if output.member is None else [_alone(tasks, output.member)]


def _check_member(config: RunConfig, output: OutputConfig) -> None:
    last = len(config.members) - 1
    if output.member is not None and not 0 <= output.member <= last:
        raise ConfigError(f"member must be 0 to {last}, got {output.member}")


def _alone(tasks: list[Task], member: int) -> Task:
    task = tasks[member]
    missing = [folder.name for folder in task.earlier if not is_finished(folder)]
    if missing:
        raise ConfigError(f"{task.name} needs {', '.join(missing)} to be trained before it")
    return task


def _waves(tasks: list[Task]) -> list[list[Task]]:
    """Tasks that may run side by side; one that needs earlier members waits for all before it."""
    waves: list[list[Task]] = [[]]
    for task in tasks:
        if task.earlier and waves[-1]:
            waves.append([])
        waves[-1].append(task)
    return waves


def _write_splits(folder: Path, dataset: Dataset) -> None:
    folder.mkdir()
    for name in WRITTEN_SPLITS:
        write_split(folder / f"{name}.npz", dataset.splits[name])


def _manifest(config: RunConfig, output: OutputConfig, dataset: Dataset, command: str) -> dict[str, Any]:
    sizes = {name: len(split) for name, split in dataset.splits.items()}
    settings = config.settings
    return {
        "format_version": FORMAT_VERSION,
        "name": output.out.name,
        "settings": settings,
        "dataset": settings["dataset"]
        | {
            "data_root": str(config.dataset.data_root or "") or None,
            "sizes": sizes,
            "fingerprint": dataset.fingerprint,
            "skipped": list(dataset.skipped),
        },
        "classes": list(dataset.classes),
        "input": {"name": "image", "datatype": "UINT8", "shape": [-1, *dataset.train.images.shape[1:]]},
        "members": [member_folder(Path(), index).name for index in range(len(config.members))],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "command": command,
    }
