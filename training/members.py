"""One member: trained, then written to a folder of its own."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from training.config import TrainingConfig
from training.data.splits import Split
from training.loop import Outcome, rows_of, train
from training.models import (
    FORMAT_VERSION,
    ImageClassifier,
    ModelSpec,
    build_model,
    count_macs,
    count_parameters,
)
from training.progress import Progress
from training.records import write_records


@dataclass(frozen=True, kw_only=True)
class MemberTask:
    """All that a process needs to train one member."""

    index: int
    folder: Path
    spec: ModelSpec
    training: TrainingConfig
    train: Split
    validation: Split

    @property
    def name(self) -> str:
        return f"member-{self.index}"


def make_member(task: MemberTask) -> float:
    """Trains and writes a member; returns its validation accuracy."""
    # Members side by side beat operators side by side: threads of several members fight over the cores.
    torch.set_num_threads(1)
    # Initial weights and dropout draw from torch's global generator and from no other.
    torch.manual_seed(task.training.seed)
    model = build_model(task.spec)
    num_updates = task.training.epochs * (len(task.train) // task.training.batch_size)
    with Progress(
        f"{task.name} ({task.spec.name})",
        position=task.index,
        num_epochs=task.training.epochs,
        num_updates=num_updates,
    ) as progress:
        outcome = train(
            model,
            rows_of(task.train),
            rows_of(task.validation),
            task.training,
            on_update=progress.update,
            on_epoch=progress.epoch,
        )
    write_member(task, model, outcome)
    return outcome.best.validation_accuracy


def write_member(task: MemberTask, model: ImageClassifier, outcome: Outcome) -> None:
    task.folder.mkdir()
    save_file(outcome.weights, task.folder / "model.safetensors")
    write_records(task.folder / "metrics.csv", outcome.records)
    manifest = json.dumps(_manifest(task, model, outcome), indent=2, allow_nan=False)
    (task.folder / "member.json").write_text(manifest + "\n", encoding="utf-8")


def _manifest(task: MemberTask, model: ImageClassifier, outcome: Outcome) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "name": task.name,
        "model": task.spec.to_json(),
        "training": asdict(task.training),
        "metrics": {
            "best_epoch": outcome.best.epoch,
            "validation_accuracy": outcome.best.validation_accuracy,
            "validation_nll": outcome.best.validation_nll,
        },
        "macs": count_macs(model, task.spec),
        "parameters": count_parameters(model),
    }
