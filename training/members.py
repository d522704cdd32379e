"""One member: trained, then written to its folder, `member.json` last."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from training.atomic import replacing
from training.config import plain
from training.curves import draw_curves
from training.errors import OutputError
from training.models import FORMAT_VERSION, count_macs, count_parameters
from training.records import EpochRecord
from training.session import Task, Trained, clear_working_files, held, train_or_resume
from training.team import ALONE, Team

MANIFEST = "member.json"
WEIGHTS = "model.safetensors"
CURVES = "curves.png"
SELECTION = "selection.npz"


def make_member(task: Task, team: Team = ALONE) -> None:
    """Trains and writes a member; one that is finished is left as it is."""
    with held(task.folder, team):
        if not is_finished(task.folder):
            trained = train_or_resume(task, team)
            if team.is_first:
                write_member(task, trained)
        if team.is_first:
            clear_working_files(task.folder)
    team.wait()


def is_finished(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def validation_accuracy(folder: Path) -> float | None:
    """Of the member in the folder; None where it is not finished."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return float(manifest["metrics"]["validation_accuracy"])


def write_member(task: Task, trained: Trained) -> None:
    """The weights that validated best, and what was seen on the way. Raises OutputError on a full disk."""
    folder, table = task.folder, trained.state.plan.table
    try:
        with replacing(folder / WEIGHTS) as file:
            file.write(save({name: tensor.cpu().contiguous() for name, tensor in trained.state.best.items()}))
        with replacing(folder / SELECTION) as file:
            np.savez_compressed(
                file,
                visits=table.visits,
                losses=table.losses,
                visited_in=table.visited_in,
                allow_pickle=False,
            )
        draw_curves(folder / CURVES, trained.state.records, title=f"{task.name} ({task.spec.name})")
        manifest = json.dumps(_manifest(task, trained), indent=2, allow_nan=False)
        with replacing(folder / MANIFEST) as file:
            file.write(manifest.encode() + b"\n")
    except OSError as error:
        raise OutputError(f"{folder} can't be written: {error}; its checkpoint is kept") from error


def best_of(records: list[EpochRecord]) -> EpochRecord:
    return max(records, key=lambda record: record.rank)


def _manifest(task: Task, trained: Trained) -> dict[str, Any]:
    best = best_of(trained.state.records)
    return {
        "format_version": FORMAT_VERSION,
        "name": task.name,
        "model": task.spec.to_json(),
        "training": plain(asdict(task.training)) | {"seed": task.seeds.seed, "member": task.seeds.member},
        "device": str(trained.device),
        "metrics": {
            "best_epoch": best.epoch,
            "validation_accuracy": best.validation_accuracy,
            "validation_nll": best.validation_nll,
        },
        "spent": asdict(trained.state.spent),
        "macs": count_macs(trained.model, task.spec),
        "parameters": count_parameters(trained.model),
    }
