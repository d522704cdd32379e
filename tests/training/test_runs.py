import csv
import json
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.test_resume import assert_equal_members
from tests.training.tiny import nursery
from training import runs, session
from training.checkpoint import NAME
from training.cli import main
from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.errors import DivergedError
from training.evaluation import evaluate, rows_of
from training.models import load_member
from training.runs import pixel_statistics

ARGUMENTS = [
    *("--dataset", "digits", "--copies", "1", "--difficulty", "0.2", "--max-train-rows", "64"),
    *(
        "--models",
        "tiny_with_dropout",
        "--members",
        "2",
        "--selection",
        "hard-batch,none",
        "--delta",
        "0.25,",
    ),
    *("--epochs", "3", "--batch-size", "8", "--seed", "4", "--lr", "0.05", "--device", "cpu", "--jobs", "1"),
]
SPLITS = DatasetConfig(name="digits", difficulty=0.2, copies=1, max_train_rows=64)
MEMBER_FILES = (
    *("model.safetensors", "member.json", "metrics.csv", "updates.csv", "selection.npz", "curves.png"),
)


def train(out, *more):
    return main([*ARGUMENTS, *more, "--out", str(out)])


def resume(out, *more):
    return main(["--resume", "--jobs", "1", *more, "--out", str(out)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert train(folder) == 0
    return folder


@pytest.fixture
def unfinished(run, tmp_path):
    """A run of which member 0 is trained and member 1 not begun."""
    partial = tmp_path / "run.partial"
    shutil.copytree(run, partial)
    shutil.rmtree(partial / "member-1")
    return partial


def read_json(path):
    return json.loads(path.read_text())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_equal_runs(first, second):
    for index in (0, 1):
        assert_equal_members(first / f"member-{index}", second / f"member-{index}")
    one, other = read_json(first / "run.json"), read_json(second / "run.json")
    assert one | {"command": "", "name": ""} == other | {"command": "", "name": ""}
    for name in ("calibration", "test", "ood"):
        assert (first / "splits" / f"{name}.npz").is_file() and (second / "splits" / f"{name}.npz").is_file()


def test_the_run_is_whole_and_alone(run):
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    events = {name for name in files if "/tensorboard/events.out.tfevents." in name}
    assert len(events) == 2
    members = {f"member-{index}/{name}" for index in (0, 1) for name in MEMBER_FILES}
    splits = {f"splits/{name}.npz" for name in ("calibration", "test", "ood")}
    assert files - events == members | {"run.json"} | splits
    assert list(run.parent.iterdir()) == [run]


def test_the_run_describes_itself(run):
    manifest = read_json(run / "run.json")
    assert (manifest["format_version"], manifest["name"]) == (1, "tiny")
    assert manifest["classes"] == list("0123456789")
    assert manifest["input"] == {"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}
    assert manifest["members"] == ["member-0", "member-1"]
    assert manifest["dataset"] == {
        "name": "digits",
        "difficulty": 0.2,
        "copies": 1,
        "split_seed": 0,
        "data_root": None,
        "image_size": None,
        "max_train_rows": 64,
        "skip_bad": False,
        "train_labels": None,
        "train_labels_key": None,
        "sizes": {"train": 64, "validation": 180, "calibration": 360, "test": 359, "ood": 2000},
        "fingerprint": load_dataset(SPLITS).fingerprint,
        "skipped": [],
    }
    assert manifest["settings"]["seed"] == 4
    deltas = [member["training"]["selection"]["delta"] for member in manifest["settings"]["members"]]
    assert deltas == [0.25, 1.0]
    assert manifest["versions"]["torch"] == torch.__version__.split("+")[0]
    assert manifest["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert manifest["command"].startswith("python -m training --dataset digits --copies 1")


def test_splits_are_those_of_the_data_set(run):
    dataset = load_dataset(SPLITS)
    for name in ("calibration", "test", "ood"):
        with np.load(run / "splits" / f"{name}.npz", allow_pickle=False) as file:
            assert np.array_equal(file["image"], dataset.splits[name].images)
            assert np.array_equal(file["groups"], dataset.splits[name].groups)
            if name != "ood":
                assert np.array_equal(file["labels"], dataset.splits[name].labels)


def test_members_know_how_they_were_made(run):
    for index, name in enumerate(("hard-batch", "none")):
        manifest = read_json(run / f"member-{index}" / "member.json")
        assert (manifest["format_version"], manifest["name"]) == (1, f"member-{index}")
        assert (manifest["training"]["seed"], manifest["training"]["member"]) == (4, index)
        assert manifest["training"]["selection"]["name"] == name
        assert manifest["spent"]["updates"] == 24


def test_pixels_are_normalised_by_the_train_split_alone(run):
    dataset = load_dataset(SPLITS)
    for index in (0, 1):
        model = read_json(run / f"member-{index}" / "member.json")["model"]
        given = (model["mean"], model["std"])
        assert given == tuple(map(list, pixel_statistics(dataset.train.images)))
        for name in ("validation", "calibration", "test"):
            mean, std = pixel_statistics(dataset.splits[name].images)
            assert given[0] != list(mean) and given[1] != list(std)


def test_weights_reload_to_the_same_validation_accuracy(run):
    validation = rows_of(load_dataset(SPLITS).validation)
    for index in (0, 1):
        model, manifest = load_member(run / f"member-{index}")
        accuracy, nll = evaluate(model, validation)
        assert accuracy == manifest["metrics"]["validation_accuracy"] > 0.3
        assert nll == pytest.approx(manifest["metrics"]["validation_nll"], rel=1e-9)


def test_metrics_hold_the_best_epoch(run):
    with (run / "member-0" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["updates"]) for row in rows] == [8, 16, 24]
    metrics = read_json(run / "member-0" / "member.json")["metrics"]
    assert metrics["validation_accuracy"] == max(float(row["validation_accuracy"]) for row in rows)
    assert float(rows[metrics["best_epoch"] - 1]["validation_nll"]) == metrics["validation_nll"]


def test_members_of_one_seed_are_not_alike(run):
    weights = [load_member(run / f"member-{index}")[0].state_dict() for index in (0, 1)]
    assert not torch.equal(weights[0]["backbone.0.weight"], weights[1]["backbone.0.weight"])


def interrupt_at(monkeypatch, member, updates):
    """Ctrl-C while this update of this member is made."""
    update = session.Logs.update

    def note(self, made):
        if self._folder.name == member and made.spent.updates == updates:
            signal.raise_signal(signal.SIGINT)
        update(self, made)

    monkeypatch.setattr(session.Logs, "update", note)


def test_an_interrupted_run_is_gone_on_with_bit_for_bit(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_at(patch, "member-1", 5)
        assert train(out) == 130
    line = capsys.readouterr().err.splitlines()[-1]
    # The update that was being made is finished, and then the next asks.
    assert line == "error: stopped after update 6; --resume goes on from there"
    assert names(tmp_path) == ["run.partial"]
    assert (tmp_path / "run.partial" / "member-1" / NAME).is_file()
    assert not (tmp_path / "run.partial" / "member-0" / NAME).exists()

    assert resume(out) == 0
    assert names(tmp_path) == ["run"]
    assert_equal_runs(run, out)
    assert names(out / "member-1") == names(run / "member-1")
    assert len(names(out / "member-1" / "tensorboard")) == 2
    capsys.readouterr()
    assert resume(out) == 0
    assert capsys.readouterr().out.startswith(f"{out}: 2 members, validation accuracy ")


def test_asked_to_end_with_a_member_s_last_update_it_begins_no_other(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    interrupt_at(monkeypatch, "member-0", 24)
    assert train(out) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: interrupted; ")
    assert names(tmp_path / "run.partial") == ["member-0", "run.json", "splits"]
    assert (tmp_path / "run.partial" / "member-0" / NAME).is_file()


CHANGES = [
    (["--lr", "0.2"], "members[0].training.optimizer.lr was 0.05 and is 0.2"),
    (["--seed", "5"], "seed was 4 and is 5"),
    (["--momentum", "0.5", "--batch-size", "4"], "members[0].training.batch_size was 8 and is 4; members[0]"),
    (["--difficulty", "0.5"], "dataset.difficulty was 0.2 and is 0.5"),
]


@pytest.mark.parametrize(("changes", "message"), CHANGES)
@pytest.mark.parametrize("how", [["--resume"], ["--member", "1"]])
def test_other_settings_are_named(unfinished, tmp_path, capsys, changes, message, how):
    assert train(tmp_path / "run", *changes, *how) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: {unfinished} was begun with other settings: {message}")
    assert line.count("\n") == 1
    assert names(unfinished) == ["member-0", "run.json", "splits"]


def test_a_finished_run_is_held_against_settings_too(run, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    assert train(out, "--resume", "--lr", "0.2") == 2
    assert "members[0].training.optimizer.lr was 0.05 and is 0.2" in capsys.readouterr().err
    assert train(out, "--resume") == 0
    assert train(out, "--member", "1") == 0
    assert names(tmp_path) == ["run"]


def test_settings_without_the_data_set_are_refused(unfinished, tmp_path, capsys):
    assert resume(tmp_path / "run", "--lr", "0.2") == 2
    assert capsys.readouterr().err == (
        "error: --resume takes no settings, or all that the run began with: --dataset is missing\n"
    )


def test_changed_data_are_named(tmp_path, monkeypatch, capsys):
    labels = tmp_path / "labels.npy"
    given = np.random.default_rng(0).integers(0, 10, 1797)
    np.save(labels, given)
    with monkeypatch.context() as patch:
        interrupt_at(patch, "member-0", 2)
        assert train(tmp_path / "run", "--train-labels", str(labels)) == 130
    capsys.readouterr()
    np.save(labels, (given + 1) % 10)
    assert resume(tmp_path / "run") == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'run.partial'} was begun with other settings: "
        "the images or labels of the data set have changed\n"
    )


DESCRIPTIONS = [
    (lambda manifest: manifest | {"format_version": 2}, "has format_version 2; known is 1"),
    (
        lambda manifest: {key: value for key, value in manifest.items() if key != "settings"},
        "holds no settings: an older version wrote it, and it can't be gone on with",
    ),
    (lambda manifest: manifest | {"settings": {"seed": 4}}, "describes no run: KeyError('dataset')"),
    (lambda manifest: manifest | {"settings": [4]}, "describes no run: TypeError("),
    (lambda manifest: [manifest], "has format_version None; known is 1"),
]


@pytest.mark.parametrize(("change", "message"), DESCRIPTIONS)
def test_a_description_that_is_none_is_one_line(unfinished, tmp_path, capsys, change, message):
    path = unfinished / "run.json"
    path.write_text(json.dumps(change(read_json(path))))
    assert resume(tmp_path / "run") == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: {path} {message}") and line.count("\n") == 1


def test_a_description_that_is_no_json_is_one_line(unfinished, tmp_path, capsys):
    (unfinished / "run.json").write_text("{")
    assert resume(tmp_path / "run") == 2
    assert capsys.readouterr().err.startswith(f"error: {unfinished / 'run.json'} can't be read: Expecting")


def test_a_damaged_checkpoint_is_one_line(unfinished, tmp_path, capsys):
    checkpoint = unfinished / "member-1" / NAME
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"damaged" * 100)
    assert resume(tmp_path / "run") == 1
    line = capsys.readouterr().err
    assert line.startswith(f"error: {checkpoint} is no checkpoint: ") and line.count("\n") == 1


def test_members_may_be_trained_one_by_one(run, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(out, "--member", "1") == 0
    assert capsys.readouterr().out == f"{out}.partial: 1 of 2 members trained\n"
    assert train(out, "--member", "1") == 0
    assert names(tmp_path) == ["run.partial"]
    assert train(out, "--member", "0") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{out}: 2 members, validation accuracy ")
    assert names(tmp_path) == ["run"]
    assert_equal_runs(run, out)


def train_member(out, member, done):
    sys.stderr = sys.stdout = Path(f"{done}.{member}").open("w")  # noqa: SIM115
    status = train(out, "--member", str(member))
    print(status, flush=True)


def test_members_trained_at_the_same_time_make_one_run(run, tmp_path):
    out = tmp_path / "runs" / "run"
    done = tmp_path / "done"
    processes = [nursery().fork(train_member, out, member, done) for member in (0, 1)]
    assert [nursery().wait(process) for process in processes] == [0, 0]
    told = [Path(f"{done}.{member}").read_text().splitlines() for member in (0, 1)]
    assert [lines[-1] for lines in told] == ["0", "0"], told
    # The last publishes; both may be the last when they end together.
    assert any(line.startswith(f"{out}: 2 members, ") for lines in told for line in lines)
    assert names(out.parent) == ["run"]
    assert_equal_runs(run, out)
    for index in (0, 1):
        assert names(out / f"member-{index}") == names(run / f"member-{index}")


def test_one_that_ends_after_the_run_has_been_published_finds_it(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    assert train(out, "--member", "0") == 0
    make_member = runs.make_member

    def overtaken(task, team):
        make_member(task, team)
        (tmp_path / "run.partial").rename(out)

    monkeypatch.setattr(runs, "run_all", lambda function, tasks, jobs: [overtaken(*tasks, runs.ALONE)])
    capsys.readouterr()
    assert train(out, "--member", "1") == 0
    assert capsys.readouterr().out.startswith(f"{out}: 2 members, validation accuracy ")


def test_a_member_that_needs_others_is_refused_before_them(tmp_path, capsys):
    cascade_aware = ("--selection", "none,cascade-aware", "--delta", ",")
    assert train(tmp_path / "run", *cascade_aware, "--member", "1") == 2
    assert capsys.readouterr().err == "error: member-1 needs member-0 to be trained before it\n"
    assert names(tmp_path) == []
    assert train(tmp_path / "run", *cascade_aware, "--member", "0") == 0
    assert train(tmp_path / "run", *cascade_aware, "--member", "1") == 0
    with np.load(tmp_path / "run" / "member-1" / "selection.npz") as table:
        assert (table["visits"] > 0).sum() == 32


@pytest.mark.parametrize("member", ["9", "2", "-1"])
def test_a_member_that_there_is_not_is_refused(tmp_path, capsys, member):
    assert train(tmp_path / "run", "--member", member) == 2
    assert capsys.readouterr().err == f"error: member must be 0 to 1, got {member}\n"
    assert names(tmp_path) == []


def diverge(task, team=None):
    task.folder.mkdir()
    raise DivergedError("the loss is nan")


def test_a_run_that_diverges_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs, "make_member", diverge)
    assert train(tmp_path / "run") == 1
    assert capsys.readouterr().err == "error: the loss is nan\n"
    assert names(tmp_path) == []


@pytest.mark.parametrize("how", [["--resume"], ["--member", "1"]])
def test_a_run_that_others_began_outlives_a_member_that_diverges(unfinished, tmp_path, monkeypatch, how):
    monkeypatch.setattr(runs, "make_member", lambda task: task.folder.name == "member-1" and diverge(task))
    assert train(tmp_path / "run", *how) == 1
    assert names(unfinished) == ["member-0", "member-1", "run.json", "splits"]


@pytest.mark.parametrize("error", [None, DivergedError, KeyboardInterrupt])
def test_an_old_run_is_replaced_only_by_a_whole_one(run, tmp_path, monkeypatch, error):
    out = tmp_path / "run"
    out.mkdir()
    (out / "run.json").write_text("old")

    def copy(task):
        assert (out / "run.json").read_text() == "old"
        if error is not None and task.folder.name == "member-1":
            raise error("the loss is nan")
        shutil.copytree(run / task.folder.name, task.folder)

    monkeypatch.setattr(runs, "make_member", copy)
    assert train(out, "--overwrite") == {None: 0, DivergedError: 1, KeyboardInterrupt: 130}[error]
    if error is None:
        assert names(tmp_path) == ["run"]
        assert_equal_runs(run, out)
    else:
        assert (out / "run.json").read_text() == "old"
        # Member 0 is finished, and is not thrown away because another diverged.
        assert names(tmp_path) == ["run", "run.partial"]


def test_a_replacement_broken_off_is_gone_on_with(unfinished, run, tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    (out / "run.json").write_text("old")
    assert resume(out) == 2
    assert "exists already: --resume --overwrite goes on with" in capsys.readouterr().err
    assert (out / "run.json").read_text() == "old"
    assert resume(out, "--overwrite") == 0
    assert names(tmp_path) == ["run"]
    assert_equal_runs(run, out)


def test_an_unfinished_run_is_begun_anew_only_when_told(unfinished, run, tmp_path, monkeypatch, capsys):
    assert train(tmp_path / "run") == 2
    assert capsys.readouterr().err == (
        f"error: {unfinished} holds an unfinished run: --resume goes on with it, --overwrite begins anew\n"
    )
    (unfinished / "member-0" / "mark").touch()
    assert train(tmp_path / "run", "--overwrite") == 0
    assert names(tmp_path) == ["run"]
    assert_equal_runs(run, tmp_path / "run")
    assert not (tmp_path / "run" / "member-0" / "mark").exists()


def test_a_run_that_others_are_at_work_on_is_not_begun_anew(unfinished, tmp_path, capsys):
    with session.held(unfinished / "member-1"):
        assert train(tmp_path / "run", "--overwrite") == 2
    assert capsys.readouterr().err == (
        f"error: {unfinished / 'member-1'} is being trained by another process\n"
    )
    assert (unfinished / "member-0" / "member.json").is_file()


def test_pixel_statistics_by_hand():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 2), dtype=np.uint8)
    mean, std = pixel_statistics(images)
    assert mean == pytest.approx((images / 255).mean(axis=(0, 1, 2)))
    assert std == pytest.approx((images / 255).std(axis=(0, 1, 2)))


def test_a_channel_that_never_changes_has_a_std_to_divide_by():
    assert pixel_statistics(np.full((2, 2, 2, 1), 51, np.uint8)) == ((pytest.approx(0.2),), (1 / 255,))


def test_channels_last_reaches_the_model(tmp_path):
    """It is a layout: what is trained is the same but for rounding."""
    trained, plain = {}, ("--selection", "none", "--delta", "")
    for flag in ("--channels-last", "--no-channels-last"):
        assert train(tmp_path / flag, flag, "--epochs", "1", "--members", "1", *plain) == 0
        trained[flag] = load_member(tmp_path / flag / "member-0")
    settings = [manifest["training"]["channels_last"] for _, manifest in trained.values()]
    assert settings == [True, False]
    first, second = (model.state_dict()["backbone.0.weight"] for model, _ in trained.values())
    assert torch.allclose(first, second, atol=1e-4)
