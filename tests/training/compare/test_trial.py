import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.test_members import record
from tests.training.tiny import make_task
from training import session
from training.checkpoint import NAME
from training.compare.results import Arm
from training.compare.trial import Trial, read_result, run_trial
from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.errors import ConfigError
from training.evaluation import evaluate, rows_of
from training.session import held, train_or_resume


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(DatasetConfig(name="digits", difficulty=0.2, copies=1))


@pytest.fixture
def trial(dataset, tmp_path):
    task = make_task(dataset, tmp_path / "seed-3", epochs=4)
    return Trial(arm=Arm(selection="hard-batch", delta=0.5), task=task, test=dataset.test)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_result_is_what_the_training_came_to(trial, tmp_path):
    result = run_trial(trial)
    again = replace(trial.task, folder=tmp_path / "again")
    with held(again.folder):
        trained = train_or_resume(again)
    state, table = trained.state, trained.state.plan.table
    accuracy, nll = evaluate(trained.model, rows_of(trial.test))
    assert (result.test_accuracy, result.test_nll) == (accuracy, nll)
    assert (result.arm, result.seed) == (trial.arm, 3)
    assert (result.updates, result.samples_forward, result.samples_backward) == (32, 256, 256)
    assert [replace(point, seconds=0) for point in result.curve] == [
        replace(
            result.curve[0],
            seconds=0,
            **{
                name: getattr(record, name)
                for name in ("updates", "samples_forward", "samples_backward", "train_loss")
            },
            validation_accuracy=record.validation_accuracy,
            validation_nll=record.validation_nll,
        )
        for record in state.records
    ]
    assert (result.visits_min, result.visits_max) == (table.visits.min(), table.visits.max())
    assert result.share_never_again == np.mean(table.visited_in == 0)
    overlaps = [r.selection_overlap for r in state.records if r.selection_overlap is not None]
    assert result.mean_overlap == np.mean(overlaps)
    assert read_result(trial.task.folder / "result.json") == result


def test_judged_are_the_last_weights_and_not_the_best(trial, monkeypatch):
    """Chosen by validation, an arm's luck would be judged and not what it learned."""

    def train(state, *_, **__):
        state.best = {name: torch.full_like(tensor, 9) for name, tensor in state.model.state_dict().items()}
        state.records.append(record(1, 0.5))

    monkeypatch.setattr(session, "train", train)
    result = run_trial(trial)
    torch.manual_seed(trial.task.seeds.torch_global)
    fresh = session.build_model(trial.task.spec)
    assert (result.test_accuracy, result.test_nll) == evaluate(fresh, rows_of(trial.test))


def test_a_trial_leaves_logs_and_a_result(trial):
    run_trial(trial)
    assert names(trial.task.folder) == ["metrics.csv", "result.json", "tensorboard", "updates.csv"]


def test_a_result_that_is_there_is_read(trial, monkeypatch):
    result = run_trial(trial)
    path = trial.task.folder / "result.json"
    before = path.stat()
    # Killed after the result and before it had tidied up.
    (trial.task.folder / NAME).touch()
    monkeypatch.setattr(session, "train", None)
    assert run_trial(trial) == result
    assert path.stat() == before
    assert names(trial.task.folder) == ["metrics.csv", "result.json", "tensorboard", "updates.csv"]


def test_a_training_begun_before_is_gone_on_with(trial, dataset, tmp_path):
    half = replace(trial.task, training=replace(trial.task.training, epochs=2))
    with held(half.folder):
        train_or_resume(half)
    result = run_trial(trial)
    assert (result.updates, len(result.curve)) == (32, 4)
    # The rate of the first half came down to zero: it is not the training that this trial is.
    other = run_trial(replace(trial, task=replace(trial.task, folder=tmp_path / "other")))
    assert result.curve[1].train_loss != other.curve[1].train_loss


@pytest.mark.parametrize(
    ("change", "message"), [({"seed": "x"}, ": seed can't be 'x'"), (None, " can't be ")]
)
def test_a_damaged_result_is_named(trial, change, message):
    run_trial(trial)
    path = trial.task.folder / "result.json"
    path.write_text("{" if change is None else json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigError) as error:
        run_trial(trial)
    assert str(error.value).startswith(f"{path}{message}")
