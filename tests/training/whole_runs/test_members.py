"""Members trained one by one, or at the same time; and one that diverges."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.tiny import nursery
from tests.training.whole_runs.tiny_runs import assert_equal_runs, names, train
from training import runs
from training.errors import DivergedError


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
