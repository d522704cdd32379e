"""An old run is replaced by a whole one alone."""

import shutil

import pytest

from tests.training.whole_runs.tiny_runs import (
    assert_equal_runs,
    names,
    resume,
    train,
)
from training import runs, session
from training.errors import DivergedError


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
