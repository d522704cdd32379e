"""Several processes that train one member together: real ones, over gloo on loopback."""

import os
import signal
import socket
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from tests.training.test_resume import updates_saved
from tests.training.tiny import make_task as make_tiny_task
from tests.training.tiny import nursery
from training import loop
from training.config import OptimizerConfig, TrainingConfig
from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.errors import ConfigError, StoppedError
from training.models import ModelSpec
from training.seeds import Seeds
from training.selection.config import SelectionConfig
from training.session import Task, held, train_or_resume
from training.team import ALONE, Team, check_divides, teamed

EPOCHS = 3
# Amid the second of three epochs of 8 updates.
STOP_AT = 13


def make_task(folder, selection, **options):
    dataset = load_dataset(DatasetConfig(name="digits", difficulty=0.5, copies=1, max_train_rows=330))
    spec = ModelSpec(
        name="resnet8x0.5", height=8, width=8, channels=1, num_classes=10, mean=(0.3,), std=(0.4,)
    )
    training = TrainingConfig(
        epochs=EPOCHS,
        batch_size=32,
        augmentation="shift",
        optimizer=OptimizerConfig(lr=0.05),
        selection=SelectionConfig.usual(selection, **options),
    )
    return Task(
        name="member-0",
        folder=folder,
        spec=spec,
        training=training,
        seeds=Seeds(seed=3, member=0),
        train=dataset.train,
        validation=dataset.validation,
    )


def train_and_note(folder, selection, team):
    """The rows of every update, the last weights, and what was seen of the validation split."""
    visits = []
    note = loop._note

    def noting(state, visit, *rest):
        visits.append(visit.rows.copy())
        note(state, visit, *rest)

    loop._note = noting
    try:
        with held(folder, team):
            trained = train_or_resume(make_task(folder, selection), team)
    finally:
        loop._note = note
    weights = torch.cat([parameter.detach().flatten() for parameter in trained.model.parameters()])
    return np.stack(visits), weights.numpy(), trained.state.records[-1]


def be_one_of_two(rank, port):
    """What torchrun would tell a process."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def work(rank, port, folder, selection):
    be_one_of_two(rank, port)
    with teamed() as team:
        visits, weights, record = train_and_note(folder, selection, team)
    np.savez(folder / f"seen-{rank}.npz", visits=visits, weights=weights, nll=record.validation_nll)


def work_until_told(rank, port, folder, stop_at):
    """Ends well when told to stop; what it leaves is a checkpoint. The two are told one update apart."""
    be_one_of_two(rank, port)
    dataset = load_dataset(DatasetConfig(name="digits", difficulty=0.2, copies=1))
    task = make_tiny_task(dataset, folder)
    with teamed() as team, held(folder, team):
        try:
            with told_after(None if stop_at is None else stop_at - rank):
                trained = train_or_resume(task, team)
        except StoppedError:
            return
    weights = torch.cat([parameter.detach().flatten() for parameter in trained.model.parameters()])
    np.savez(folder / f"seen-{rank}.npz", weights=weights.numpy(), mask=torch.rand(8).numpy())


@contextmanager
def told_after(update):
    """This process is sent SIGTERM when it has made that update."""
    note = loop._note

    def telling(state, *rest):
        note(state, *rest)
        if state.spent.updates == update:
            signal.raise_signal(signal.SIGTERM)

    loop._note = telling
    try:
        yield
    finally:
        loop._note = note


def run_two(work, *arguments):
    port = free_port()
    processes = [nursery().fork(work, rank, port, *arguments) for rank in range(2)]
    assert [nursery().wait(process) for process in processes] == [0, 0]


def test_two_processes_stop_together_and_go_on_to_the_same_bits(tmp_path):
    """With dropout, whose draws differ between the processes and are kept for each."""
    for name in ("straight", "stopped"):
        (tmp_path / name).mkdir()
    run_two(work_until_told, tmp_path / "straight", None)
    run_two(work_until_told, tmp_path / "stopped", STOP_AT)
    assert updates_saved(tmp_path / "stopped") == STOP_AT
    assert not (tmp_path / "stopped" / "seen-0.npz").exists()
    run_two(work_until_told, tmp_path / "stopped", None)
    straight, stopped = (
        [np.load(tmp_path / name / f"seen-{rank}.npz") for rank in range(2)]
        for name in ("straight", "stopped")
    )
    for rank in range(2):
        assert np.array_equal(straight[rank]["weights"], stopped[rank]["weights"])
        assert np.array_equal(straight[rank]["mask"], stopped[rank]["mask"])
    assert np.array_equal(straight[0]["weights"], straight[1]["weights"])
    assert not np.array_equal(straight[0]["mask"], straight[1]["mask"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("selection", ["hard-batch", "top-k"])
def test_two_processes_select_the_same_batches_as_one(tmp_path, selection):
    """Batch statistics, losses and gradients are those of whole batches, so the choices are the same."""
    alone = tmp_path / "alone"
    visits, weights, record = train_and_note(alone, selection, ALONE)
    assert len(visits) == EPOCHS * 10

    together = tmp_path / "together"
    together.mkdir()
    run_two(work, together, selection)
    seen = [np.load(together / f"seen-{rank}.npz") for rank in range(2)]
    for one in seen:
        assert np.array_equal(one["visits"], visits)
        assert np.allclose(one["weights"], weights, atol=2e-3)
        assert one["nll"] == pytest.approx(record.validation_nll, rel=1e-3)
    assert np.array_equal(seen[0]["weights"], seen[1]["weights"])


@pytest.mark.parametrize(("num_rows", "size"), [(8, 2), (7, 2), (5, 3)])
def test_shares_are_all_rows_once_in_order(num_rows, size):
    rows = [list(range(num_rows)[Team(rank=rank, size=size).share(num_rows)]) for rank in range(size)]
    assert [row for part in rows for row in part] == list(range(num_rows))


def test_a_batch_must_be_shared_equally():
    check_divides(32, 2)
    with pytest.raises(ConfigError, match="batch_size must be a multiple of the 3 processes, got 32"):
        check_divides(32, 3)
