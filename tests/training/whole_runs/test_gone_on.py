"""A run that was interrupted is gone on with, by the same settings on the same data."""

import json
import shutil
import signal

import numpy as np
import pytest

from tests.training.whole_runs.tiny_runs import (
    assert_equal_runs,
    names,
    read_json,
    resume,
    train,
)
from training import session
from training.checkpoint import NAME


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
