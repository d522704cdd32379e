"""A member killed again and again is, in the end, what it would have been undisturbed."""

import csv
import json
import os
import random
import signal
import struct
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.test_checkpoint import assert_equal
from tests.training.tiny import NUM_BATCHES, make_task, nursery
from training.checkpoint import NAME
from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.members import make_member, write_member
from training.session import clear_working_files, held, train_or_resume

NUM_KILLS = 20
NUM_EPOCHS = 50
LIMIT_S = 60


def train_saving_always(task):
    make_member(replace(task, checkpoint_s=0.0))


def updates_saved(folder):
    """Of the folder's checkpoint; 0 where there is none."""
    try:
        with (folder / NAME).open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
    except FileNotFoundError:
        return 0
    return json.loads(header["__metadata__"]["training"])["spent"]["updates"]


def half_written(folder):
    return list(folder.glob(f".{NAME}.[0-9]*"))


def wait_until(condition):
    until = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.0005)


def stopped_while_it_writes(pid, folder):
    """Held still and looked at: whether there is half a checkpoint now."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    if half_written(folder):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def kill_once(task, number, moments):
    """Every second time while a checkpoint is being written, else at a random moment."""
    goal = updates_saved(task.folder) + moments.randint(1, 4)
    pid = nursery().fork(train_saving_always, task)
    wait_until(lambda: updates_saved(task.folder) >= goal)
    if number % 2:
        wait_until(lambda: half_written(task.folder) and stopped_while_it_writes(pid, task.folder))
    else:
        time.sleep(moments.random() * 0.02)
    os.kill(pid, signal.SIGKILL)
    assert nursery().wait(pid) == -signal.SIGKILL
    return updates_saved(task.folder), bool(half_written(task.folder))


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(DatasetConfig(name="digits", difficulty=0.2, copies=1))


def without_seconds(path):
    with path.open(newline="") as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def member_without_seconds(folder):
    manifest = json.loads((folder / "member.json").read_text())
    return manifest | {"spent": manifest["spent"] | {"seconds": 0}}


def assert_equal_members(first, second):
    one, other = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    with np.load(first / "selection.npz") as one, np.load(second / "selection.npz") as other:
        assert set(one) == set(other) == {"visits", "losses", "visited_in"}
        assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)
    for name in ("updates.csv", "metrics.csv"):
        assert without_seconds(first / name) == without_seconds(second / name)
    assert member_without_seconds(first) == member_without_seconds(second)


def test_twenty_kills_leave_no_trace(dataset, tmp_path):
    whole = make_task(dataset, tmp_path / "whole", epochs=NUM_EPOCHS)
    with held(whole.folder):
        undisturbed = train_or_resume(whole)
    write_member(whole, undisturbed)

    task, moments = replace(whole, folder=tmp_path / "killed"), random.Random(0)
    kills = [kill_once(task, number, moments) for number in range(NUM_KILLS)]
    saved = [updates for updates, _ in kills]
    assert sorted(set(saved)) == saved and len(saved) == NUM_KILLS
    assert sum(was_writing for _, was_writing in kills) >= NUM_KILLS // 2
    assert saved[-1] < NUM_EPOCHS * NUM_BATCHES
    with held(task.folder):
        assert not half_written(task.folder)
        trained = train_or_resume(task)
    write_member(task, trained)
    assert_equal(undisturbed.state, trained.state)
    assert_equal_members(whole.folder, task.folder)
    clear_working_files(task.folder)
    assert {path.name for path in task.folder.iterdir()} == {
        *("model.safetensors", "member.json", "metrics.csv", "updates.csv", "selection.npz"),
        *("curves.png", "tensorboard"),
    }
