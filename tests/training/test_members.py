import json
import multiprocessing
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.tiny import SPEC, make_task, nursery
from training import session
from training.budget import Spent
from training.checkpoint import NAME
from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.errors import CheckpointError, ConfigError, OutputError
from training.evaluation import evaluate, rows_of
from training.loop import State, snapshot
from training.members import is_finished, make_member, validation_accuracy, write_member
from training.models import build_model, load_member
from training.records import EpochRecord, Tally
from training.session import Trained, held, make_plan, train_or_resume
from training.step import Stepper

FILES = {
    *("model.safetensors", "member.json", "metrics.csv", "updates.csv", "selection.npz", "curves.png"),
    "tensorboard",
}


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(DatasetConfig(name="digits", difficulty=0.2, copies=1))


@pytest.fixture
def task(dataset, tmp_path):
    return make_task(dataset, tmp_path / "member-1", epochs=2)


def names(folder):
    return {path.name for path in folder.iterdir()}


def record(epoch, accuracy, nll=0.5):
    return EpochRecord(
        epoch=epoch,
        updates=8 * epoch,
        samples_forward=64,
        samples_backward=64,
        learning_rate=0.1,
        train_loss=1.0,
        train_accuracy=0.5,
        validation_accuracy=accuracy,
        validation_nll=nll,
        seconds=1.0,
        rows_visited=64,
        visits_min=1,
        visits_max=1,
        selection_overlap=None,
    )


def trained_to(task, best, last, *records):
    plan = make_plan(task.training, len(task.train), task.seeds)
    state = State(
        model=last,
        stepper=Stepper(last, task.training, torch.device("cpu")),
        plan=plan,
        augmenting=task.seeds.augmentation(),
        tally=Tally(visits_before=plan.table.visits),
        spent=Spent(updates=16, samples_forward=128, samples_backward=128, seconds=1.5),
        records=list(records),
        best=snapshot(best),
    )
    return Trained(model=last, state=state, device=torch.device("cpu"))


def test_the_best_weights_are_written_not_the_last(task):
    best, last = build_model(SPEC), build_model(SPEC)
    task.folder.mkdir()
    write_member(
        task, trained_to(task, best, last, record(1, 0.75), record(2, 0.5), record(3, 0.75, nll=0.6))
    )

    loaded, manifest = load_member(task.folder)
    pixels = torch.randint(0, 256, (3, 8, 8, 1), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(loaded(pixels), best.eval()(pixels))
    assert json.loads((task.folder / "member.json").read_text()) == manifest
    assert manifest["name"] == "tiny"
    assert (manifest["training"]["seed"], manifest["training"]["member"]) == (3, 1)
    assert manifest["training"]["selection"]["name"] == "hard-batch"
    assert manifest["metrics"] == {"best_epoch": 1, "validation_accuracy": 0.75, "validation_nll": 0.5}
    spent = {"updates": 16, "samples_forward": 128, "samples_backward": 128, "seconds": 1.5}
    assert (manifest["spent"], manifest["device"]) == (spent, "cpu")
    assert manifest["parameters"] == sum(parameter.numel() for parameter in best.parameters())
    # 36 places of 8 kernels of 9, and 288 inputs of 10 classes.
    assert manifest["macs"] == 36 * 8 * 9 + 288 * 10


def test_a_figure_that_is_no_number_is_not_written(task):
    model = build_model(SPEC)
    task.folder.mkdir()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_member(task, trained_to(task, model, model, record(1, float("nan"))))
    assert not is_finished(task.folder)


def test_a_member_is_trained_and_written(task):
    make_member(task)
    assert names(task.folder) == FILES
    model, manifest = load_member(task.folder)
    accuracy, nll = evaluate(model, rows_of(task.validation))
    assert accuracy == manifest["metrics"]["validation_accuracy"] == validation_accuracy(task.folder) > 0.3
    assert nll == pytest.approx(manifest["metrics"]["validation_nll"], rel=1e-9)
    with np.load(task.folder / "selection.npz", allow_pickle=False) as table:
        assert table["visits"].sum() == 16 * 8
        assert (table["visited_in"].max(), np.isnan(table["losses"]).sum()) == (2, 0)


def test_a_finished_member_is_left_as_it_is_and_what_a_kill_left_is_cleared(task, monkeypatch):
    make_member(task)
    before = {name: (task.folder / name).stat() for name in FILES - {"tensorboard"}}
    # Killed after member.json and before it had tidied up.
    (task.folder / NAME).touch()
    (task.folder / ".lock").touch()
    (task.folder / ".model.safetensors.123").touch()
    monkeypatch.setattr(session, "train", None)
    make_member(task)
    assert names(task.folder) == FILES
    assert {name: (task.folder / name).stat() for name in before} == before


def test_there_is_no_accuracy_before_it_is_finished(task):
    assert validation_accuracy(task.folder) is None
    assert not is_finished(task.folder)


def test_only_one_process_trains_a_member(task):
    with held(task.folder):
        with pytest.raises(ConfigError, match=r"member-1 is being trained by another process$"):
            make_member(task)
        assert names(task.folder) == {".lock"}
    make_member(task)
    assert is_finished(task.folder)


def write_with_little_room(task, limit, report):
    with held(task.folder):
        trained = train_or_resume(task)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(OutputError) as error:
            write_member(task, trained)
    report.send(str(error.value))


def test_a_disk_that_is_full_in_the_end_leaves_the_checkpoint(task, dataset):
    receiver, sender = multiprocessing.Pipe(duplex=False)
    assert nursery().run(write_with_little_room, task, 2000, sender) == 0
    assert receiver.recv() == (
        f"{task.folder} can't be written: [Errno 27] File too large; its checkpoint is kept"
    )
    assert names(task.folder) == {NAME, ".lock", "updates.csv", "metrics.csv", "tensorboard"}
    whole = replace(task, folder=task.folder.with_name("whole"))
    make_member(whole)
    make_member(task)
    for name in ("model.safetensors", "selection.npz"):
        assert (task.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def train_without_room(task, report):
    """No file may grow: every log fails, and fails again as it is closed."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
    with pytest.raises(CheckpointError) as error:
        make_member(task)
    report.send(str(error.value))


def test_a_log_on_a_full_disk_is_one_line_and_names_what_is_left(task):
    with held(task.folder):
        train_or_resume(replace(task, training=replace(task.training, epochs=1)))
    before = (task.folder / NAME).read_bytes()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    assert nursery().run(train_without_room, task, sender) == 0
    assert receiver.recv() == (
        f"{task.folder} can't be written to: [Errno 27] File too large; "
        "the checkpoint at update 8 is whole, and --resume goes on from it"
    )
    assert (task.folder / NAME).read_bytes() == before
    make_member(task)
    assert names(task.folder) == FILES
