"""One run of a comparison: an arm and a seed, trained, judged on the test split, and kept."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.atomic import replacing
from training.compare.results import Arm, CurvePoint, Result
from training.data.splits import Split
from training.errors import ConfigError
from training.evaluation import evaluate, rows_of
from training.loop import State
from training.session import Task, clear_working_files, held, train_or_resume

RESULT = "result.json"


@dataclass(frozen=True, kw_only=True)
class Trial:
    arm: Arm
    task: Task
    test: Split


def run_trial(trial: Trial) -> Result:
    """The result; one that is there already is read, a training begun before is gone on with.

    Judged are the last weights, when the learning rate has come down, and not those that validated best.
    """
    folder = trial.task.folder
    with held(folder):
        path = folder / RESULT
        if not path.is_file():
            trained = train_or_resume(trial.task)
            accuracy, nll = evaluate(trained.model, rows_of(trial.test, trained.device))
            result = _result(trial, trained.state, accuracy, nll)
            with replacing(path) as file:
                file.write(json.dumps(result.to_json(), indent=2, allow_nan=False).encode() + b"\n")
        clear_working_files(folder)
        return read_result(path)


def read_result(path: Path) -> Result:
    """ConfigError where the file holds no result."""
    try:
        return Result.from_json(json.loads(path.read_text(encoding="utf-8")), str(path))
    except ValueError as error:
        raise ConfigError(f"{path} can't be read: {error}") from error


def _result(trial: Trial, state: State, accuracy: float, nll: float) -> Result:
    table, records = state.plan.table, state.records
    overlaps = [r.selection_overlap for r in records if r.selection_overlap is not None]
    has_later_rounds = bool((table.visited_in > 0).any())
    return Result(
        arm=trial.arm,
        seed=trial.task.seeds.seed,
        curve=tuple(
            CurvePoint(
                updates=record.updates,
                samples_forward=record.samples_forward,
                samples_backward=record.samples_backward,
                seconds=record.seconds,
                train_loss=record.train_loss,
                validation_accuracy=record.validation_accuracy,
                validation_nll=record.validation_nll,
            )
            for record in records
        ),
        test_accuracy=accuracy,
        test_nll=nll,
        updates=state.spent.updates,
        samples_forward=state.spent.samples_forward,
        samples_backward=state.spent.samples_backward,
        seconds=state.spent.seconds,
        mean_overlap=float(np.mean(overlaps)) if overlaps else None,
        visits_min=int(table.visits.min()),
        visits_max=int(table.visits.max()),
        share_never_again=float((table.visited_in <= 0).mean()) if has_later_rounds else None,
    )
