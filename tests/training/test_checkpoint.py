"""The file of a training between two updates: what it holds, and when it is refused."""

import itertools
import json
import multiprocessing
import resource
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.training.tiny import make_task, nursery
from training.budget import Spent
from training.checkpoint import NAME, read_checkpoint, write_checkpoint
from training.config import OptimizerConfig, ScheduleConfig
from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.earlier import rows_forwarded
from training.errors import CheckpointError, StoppedError
from training.evaluation import rows_of
from training.loop import State, Watch, train
from training.members import make_member
from training.models import build_model
from training.records import Tally
from training.session import make_plan
from training.step import Stepper
from training.team import ALONE, Signals, Team

NUM_UPDATES = 24
STOPS = (5, 8, 13)
"""Within the first epoch, at the end of one (of 8 updates), within the second."""


def make_state(task):
    """As a training begins."""
    torch.manual_seed(task.seeds.torch_global)
    model = build_model(task.spec)
    if task.training.channels_last:
        model = model.to(memory_format=torch.channels_last)
    eligible = None
    if task.earlier:
        delta = task.training.selection.delta
        eligible = rows_forwarded(task.earlier, rows_of(task.train), rows_of(task.validation), delta)
    plan = make_plan(task.training, len(task.train), task.seeds, eligible)
    return State(
        model=model,
        stepper=Stepper(model, task.training, torch.device("cpu")),
        plan=plan,
        augmenting=task.seeds.augmentation(),
        tally=Tally(visits_before=plan.table.visits.copy()),
    )


def go_on(task, state, *, until=None, updates=None):
    """Trains on; `until` is the update after which somebody asks for an end."""
    count = itertools.count(state.spent.updates + 1)
    watch = Watch(
        ask=lambda: Signals(stop=next(count) == until),
        save=lambda state: write_checkpoint(task.folder, state, ALONE, logs={"updates.csv": 7}),
        on_update=lambda update: None if updates is None else updates.append(update),
    )
    train(state, rows_of(task.train), rows_of(task.validation), task.training, watch=watch)


def assert_equal(first, second):
    """Every part of two states, bit for bit, but for the seconds."""
    assert_equal_tensors(first.model.state_dict(), second.model.state_dict())
    assert_equal_tensors(first.best, second.best)
    assert_equal_optimizers(first.stepper.optimizer, second.stepper.optimizer)
    one, other = first.plan.take_out(), second.plan.take_out()
    assert one.document == other.document
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        assert np.array_equal(array, other.arrays[name], equal_nan=array.dtype == np.float64), name
    assert torch.equal(first.augmenting.get_state(), second.augmenting.get_state())
    assert [replace(r, seconds=0) for r in first.records] == [replace(r, seconds=0) for r in second.records]
    assert replace(first.spent, seconds=0) == replace(second.spent, seconds=0)


def assert_equal_optimizers(first, second):
    one, other = first.state_dict(), second.state_dict()
    assert one["param_groups"] == other["param_groups"]
    assert one["state"].keys() == other["state"].keys()
    for number, values in one["state"].items():
        assert_equal_tensors(values, other["state"][number])
        assert all(value.stride() == other["state"][number][name].stride() for name, value in values.items())


def assert_equal_tensors(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(DatasetConfig(name="digits", difficulty=0.2, copies=1))


@pytest.fixture(scope="module")
def earlier(dataset, tmp_path_factory):
    task = make_task(dataset, tmp_path_factory.mktemp("earlier") / "member-0", "none")
    make_member(task)
    return (task.folder,)


SETTINGS = [
    *((name, {}) for name in ("none", "hard-batch", "random-batch", "least-recent", "infobatch")),
    *((name, {}) for name in ("top-k", "selective-backprop", "cascade-aware")),
    ("hard-batch", {"options": {"full_every": 2}}),
    ("hard-batch", {"options": {"reshuffle_every": 2, "finish": 0.4}}),
    ("infobatch", {"options": {"finish": 0.5, "delta": 0.3}}),
    ("top-k", {"options": {"finish": 0.5}}),
    ("none", {"optimizer": OptimizerConfig(name="adamw", lr=0.01, weight_decay=0.1, decay_norms=False)}),
    ("none", {"optimizer": OptimizerConfig(lr=0.05, momentum=0.9, nesterov=True), "channels_last": True}),
    ("none", {"optimizer": OptimizerConfig(name="adamw", lr=0.01), "channels_last": True}),
    ("none", {"optimizer": OptimizerConfig(lr=0.05, momentum=0.0), "precision": "bf16"}),
    ("none", {"schedule": ScheduleConfig(warmup=0.5), "augmentation": "resized-crop"}),
]


@pytest.mark.parametrize(
    ("selection", "settings"), SETTINGS, ids=lambda value: value if isinstance(value, str) else None
)
def test_a_training_goes_on_bit_for_bit(dataset, earlier, tmp_path, selection, settings):
    task = make_task(dataset, tmp_path, selection, **settings)
    if selection == "cascade-aware":
        task = replace(task, earlier=earlier)
    whole, updates = make_state(task), []
    go_on(task, whole, updates=updates)

    assert whole.spent.updates == NUM_UPDATES
    (tmp_path / NAME).unlink()
    told = []
    for until in (*STOPS, None):
        # Whatever else has drawn from the generators is of no account.
        state = make_state(task)
        if until != STOPS[0]:
            torch.manual_seed(0)
        read_checkpoint(task.folder, state, ALONE)
        with suppress(StoppedError):
            go_on(task, state, until=until, updates=told)
        assert state.spent.updates == (until or NUM_UPDATES)
    assert_equal(whole, state)
    assert [update.visit.rows.tolist() for update in told] == [u.visit.rows.tolist() for u in updates]
    assert [update.loss for update in told] == [update.loss for update in updates]


def test_without_a_checkpoint_nothing_is_put_back(dataset, tmp_path):
    state = make_state(make_task(dataset, tmp_path))
    assert read_checkpoint(tmp_path, state, ALONE) is None
    assert state.spent == Spent()


@pytest.fixture
def stopped(dataset, tmp_path):
    """A training that has stopped after update 5."""
    task = make_task(dataset, tmp_path / "member")
    task.folder.mkdir()
    with pytest.raises(StoppedError, match="stopped after update 5; --resume goes on from there"):
        go_on(task, make_state(task), until=5)
    return task


def test_the_lengths_of_logs_come_back(stopped):
    assert read_checkpoint(stopped.folder, make_state(stopped), ALONE) == {"updates.csv": 7}


def test_tensors_that_share_memory_are_written(stopped):
    state = make_state(stopped)
    state.model.register_buffer("tied", state.model.mean)
    state.model.register_buffer("tied_too", state.model.mean)
    write_checkpoint(stopped.folder, state, ALONE, logs={})
    with safe_open(stopped.folder / NAME, framework="pt") as file:
        assert torch.equal(file.get_tensor("model.tied"), file.get_tensor("model.tied_too"))


def test_a_file_that_is_none_is_one_line(stopped):
    path = stopped.folder / NAME
    whole = path.read_bytes()
    for damaged in (b"", b"nonsense" * 100, whole[:100], whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is no checkpoint: ") as error:
            read_checkpoint(stopped.folder, make_state(stopped), ALONE)
        assert str(path) in str(error.value) and "\n" not in str(error.value)


def rewrite(folder, *, change=lambda document: None, leave_out=()):
    with safe_open(folder / NAME, framework="pt") as file:
        document = json.loads(file.metadata()["training"])
        names = [name for name in file.keys() if name not in leave_out]  # noqa: SIM118
        tensors = {name: file.get_tensor(name).clone() for name in names}
    change(document)
    save_file(tensors, folder / NAME, {"training": json.dumps(document)})


@pytest.mark.parametrize("version", [2, None, "1"])
def test_another_format_is_refused(stopped, version):
    rewrite(stopped.folder, change=lambda document: document.update(format_version=version))
    with pytest.raises(CheckpointError, match=rf"has format_version {version!r}; known is 1$"):
        read_checkpoint(stopped.folder, make_state(stopped), ALONE)


def test_tensors_without_a_description_are_refused(stopped):
    save_file({"a": torch.zeros(1)}, stopped.folder / NAME)
    with pytest.raises(CheckpointError, match="is no checkpoint: "):
        read_checkpoint(stopped.folder, make_state(stopped), ALONE)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("model.backbone.0.weight", 'Missing key(s) in state_dict: "backbone.0.weight"'),
        ("plan.losses", "'losses'"),
        ("augmenting", "'augmenting'"),
        ("generators.0", "'generators.0'"),
    ],
)
def test_a_checkpoint_that_lacks_something_does_not_fit(stopped, missing, told):
    rewrite(stopped.folder, leave_out=[missing])
    with pytest.raises(CheckpointError, match="does not fit this member: ") as error:
        read_checkpoint(stopped.folder, make_state(stopped), ALONE)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_checkpoint_of_another_model_does_not_fit(stopped):
    other = replace(stopped, spec=replace(stopped.spec, num_classes=7))
    with pytest.raises(CheckpointError, match=r"does not fit this member: .*size mismatch"):
        read_checkpoint(stopped.folder, make_state(other), ALONE)


def test_another_number_of_processes_is_refused(stopped):
    message = r"is by 1 processes, and 2 would go on with it: the rounding would differ$"
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(stopped.folder, make_state(stopped), Team(rank=0, size=2))


def write_on_a_full_disk(task, limit, report):
    """Goes on with a training whose files may not grow above a limit; tells the error and the files left."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    state = make_state(task)
    read_checkpoint(task.folder, state, ALONE)
    with pytest.raises(CheckpointError) as error:
        go_on(task, state, until=11)
    report.send((str(error.value), sorted(path.name for path in task.folder.iterdir())))


def told_on_a_full_disk(task, limit):
    receiver, sender = multiprocessing.Pipe(duplex=False)
    assert nursery().run(write_on_a_full_disk, task, limit, sender) == 0
    return receiver.recv()


def test_a_write_that_fails_leaves_the_checkpoint_before(stopped):
    path = stopped.folder / NAME
    before = path.read_bytes()
    message, files = told_on_a_full_disk(stopped, len(before) // 2)
    assert message == (
        f"the checkpoint at update 11 can't be written to {stopped.folder}: [Errno 27] File too large; "
        "the checkpoint at update 5 is whole, and --resume goes on from it"
    )
    assert files == [NAME]
    assert path.read_bytes() == before


def test_a_first_write_that_fails_says_that_there_is_none(stopped):
    (stopped.folder / NAME).unlink()
    message, files = told_on_a_full_disk(stopped, 1000)
    assert message.endswith("[Errno 27] File too large; there is no checkpoint before it")
    assert files == []
