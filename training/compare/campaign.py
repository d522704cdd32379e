"""All trials of a comparison, side by side, and its report.

comparison.json, report.md, curves.png, summary.csv, results.csv, curves.csv
settings.json                   what all runs share, and the options and data of those there are
runs/LABELS/ARM/seed-S/         result.json, metrics.csv, updates.csv, tensorboard/

Seeds come one after the other, each with all arms, so that a comparison broken off has whole seeds.
"""

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.atomic import replacing
from training.compare.config import OWN, SETTINGS, Comparison
from training.compare.results import Result
from training.compare.statistics import summarise
from training.compare.table import write_report
from training.compare.trial import RESULT, Trial, read_result, run_trial
from training.config import OutputConfig, plain
from training.data.datasets import Dataset, load_dataset
from training.errors import ConfigError
from training.members import WEIGHTS, is_finished
from training.models import check_model_name
from training.runs import check_fits, make_specs, member_folder, read_manifest
from training.seeds import Seeds
from training.session import Task
from training.settings import differences
from training.workers import run_all

FORMAT_VERSION = 1


def compare(comparison: Comparison, output: OutputConfig, command: str) -> int:
    """Trains what is not trained yet and writes the report; returns the number of runs in it."""
    check_model_name(comparison.model)
    datasets = {labels: load_dataset(comparison.dataset_with(labels)) for labels in comparison.labels}
    first = next(iter(datasets.values()))
    check_fits(comparison.base, len(first.train))
    earlier = _earlier(comparison)
    trials = list(_trials(comparison, datasets, output, earlier))
    _settle(output.out, comparison, datasets, earlier)
    results = run_all(run_trial, trials, output.jobs) + _before(output.out, trials)
    _report(comparison, results, output.out, command, first)
    return len(results)


def _trials(
    comparison: Comparison, datasets: dict[str, Dataset], output: OutputConfig, earlier: tuple[Path, ...]
) -> Iterable[Trial]:
    specs = {labels: make_specs([comparison.model], dataset)[0] for labels, dataset in datasets.items()}
    position = 0
    for seed in range(comparison.num_seeds):
        for labels, dataset in datasets.items():
            for selection in comparison.selections:
                arm = comparison.arm(selection, labels)
                task = Task(
                    name=f"{arm.name}, {labels} labels, seed {seed}",
                    folder=output.out / "runs" / labels / arm.name.replace(" ", "-") / f"seed-{seed}",
                    spec=specs[labels],
                    training=comparison.training(selection),
                    seeds=Seeds(seed=seed, member=0),
                    train=dataset.train,
                    validation=dataset.validation,
                    earlier=earlier if selection.needs_earlier else (),
                    checkpoint_s=output.checkpoint_s,
                    position=position,
                )
                position += 1
                yield Trial(arm=arm, task=task, test=dataset.test)


def _before(out: Path, trials: list[Trial]) -> list[Result]:
    """Results of arms, seeds and label sets that stood here already and are not named this time."""
    named = {trial.task.folder for trial in trials}
    paths = sorted(out.glob(f"runs/*/*/seed-*/{RESULT}"))
    return [read_result(path) for path in paths if path.parent not in named]


def _earlier(comparison: Comparison) -> tuple[Path, ...]:
    if comparison.earlier is None:
        return ()
    names = read_manifest(comparison.earlier)["members"]
    folders = tuple(member_folder(comparison.earlier, index) for index in range(len(names)))
    missing = [folder.name for folder in folders if not is_finished(folder)]
    if missing:
        raise ConfigError(f"{comparison.earlier}: {', '.join(missing)} is not trained yet")
    return folders


def _settle(
    out: Path, comparison: Comparison, datasets: dict[str, Dataset], earlier: tuple[Path, ...]
) -> None:
    """The folder, made here or found with the same settings; arms and label sets may have come to it."""
    members = [hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() for folder in earlier]
    arms = {
        comparison.arm(one, OWN).name: plain(asdict(one)) | {"earlier": members if one.needs_earlier else []}
        for one in comparison.selections
    }
    data = {
        labels: {"fingerprint": dataset.fingerprint, "test_rows": len(dataset.test)}
        for labels, dataset in datasets.items()
    }
    document = {"shared": comparison.shared_settings, "arms": arms, "data": data}
    path = out / SETTINGS
    if path.exists():
        found = _read_settings(path)
        document = {name: found[name] | there for name, there in document.items()}
        # What is new to it is no difference.
        changes = differences({name: there | found[name] for name, there in document.items()}, document)
        if changes:
            raise ConfigError(f"{out} holds a comparison with other settings: {'; '.join(changes[:5])}")
    out.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        text = json.dumps({"format_version": FORMAT_VERSION} | document, indent=2, allow_nan=False)
        file.write(text.encode() + b"\n")


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version, tables = document.get("format_version"), ("shared", "arms", "data")
        if version == FORMAT_VERSION:
            return {name: dict(document[name]) for name in tables}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} can't be read: {error!r}") from error
    raise ConfigError(f"{path} has format_version {version!r}; known is {FORMAT_VERSION}")


def _report(comparison: Comparison, results: list[Result], out: Path, command: str, dataset: Dataset) -> None:
    names = [result.arm.name for result in results]
    baseline = "none" if "none" in names else None
    num_batches = len(dataset.train) // comparison.base.batch_size
    settings: dict[str, Any] = comparison.shared_settings | {
        "train_rows": len(dataset.train),
        "validation_rows": len(dataset.validation),
        "test_rows": len(dataset.test),
        "updates_per_epoch": num_batches,
    }
    write_report(
        out,
        results,
        summarise(results, baseline=baseline, target_accuracy=comparison.target_accuracy),
        title=f"Selections compared: {comparison.model} on {comparison.dataset.name}",
        command=command,
        budget=str(comparison.base.budget_for(num_batches)),
        baseline=baseline,
        target_accuracy=comparison.target_accuracy,
        machine=f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        settings=settings,
    )
