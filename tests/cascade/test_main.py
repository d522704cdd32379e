"""The command line: fit and evaluate, and one clear line for bad input."""

import json
from pathlib import Path

import numpy as np
import pytest

from cascade.__main__ import main
from cascade.cascade_file import read_cascade
from tests.cascade.test_fit import outputs
from tests.repositories import Repository, make_repository


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    file = tmp_path / "scores.npz"
    given = outputs(1000)
    np.savez(
        file,
        logits=given.outputs,
        labels=given.labels,
        names=np.array(given.names),
        macs=np.array(given.macs),
    )
    return file


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = make_repository(tmp_path)
    given = made.scores
    np.savez(
        tmp_path / "fresh.npz",
        logits=given.outputs,
        labels=given.labels,
        names=np.array(given.names),
        macs=np.array(given.macs),
        sha256=np.array(given.sha256),
    )
    return made


def test_fit_then_evaluate(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy, rows = tmp_path / "policy.json", tmp_path / "rows.npz"
    assert main(["fit", str(scores), "--budget", "1.5x", "--out", str(policy)]) == 0
    assert "window for coverage@risk=0.05: cost 1." in capsys.readouterr().out
    assert main(["evaluate", str(scores), "--policy", str(policy), "--json", "--rows", str(rows)]) == 0
    figures = json.loads(capsys.readouterr().out)
    expected = {"coverage", "risk", "accuracy", "cost", "forwarded", "aurc", "objective"}
    assert expected <= figures.keys()
    assert figures["cost"] == pytest.approx(1.5, abs=0.1)
    assert figures["objective"]["name"] == "coverage@risk"
    with np.load(rows) as written:
        assert set(written.files) == {"label", "score", "confidence", "accepted", "exit_stage"}
        assert written["accepted"].mean() == figures["coverage"]
    assert main(["evaluate", str(scores), "--policy", str(policy)]) == 0
    assert "exits      stage 1:" in capsys.readouterr().out


def test_stages_name_columns(scores: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    assert main(["fit", str(scores), "--stages", "2;0,1", "--budget", "2x", "--out", str(policy)]) == 0
    assert json.loads(policy.read_text())["stages"] == [["c"], ["a", "b"]]


def test_fit_into_a_cascade_makes_its_next_version(repository: Repository) -> None:
    fresh = str(repository.path / "fresh.npz")
    arguments = ["fit", fresh, "--budget", "4x", "--into", str(repository.file), "--name", "rich"]
    assert main(arguments) == 0
    cascade = read_cascade(repository.file)
    assert (cascade.version, cascade.default_policy, "rich" in cascade.policies) == (2, "window", True)
    assert main(arguments) == 2
    assert main([*arguments, "--default", "--overwrite"]) == 0
    assert read_cascade(repository.file).default_policy == "rich"


def test_policies_of_a_cascade_are_evaluated_by_name(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = str(repository.path / "fresh.npz")
    for name, cost in (("first", 1.0), ("full", 6.0)):
        assert main(["evaluate", fresh, "--policy", str(repository.file), "--name", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["cost"] == cost


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "{scores}", "--objective", "luck", "--out", "{out}"], "unknown objective 'luck'"),
        (["fit", "{scores}", "--budget", "0.5x", "--out", "{out}"], "below the cost of stage 1"),
        (["fit", "{scores}", "--stages", "0;7", "--out", "{out}"], "there are members 0 to 2"),
        (["fit", "{scores}", "--stages", "0;0", "--out", "{out}"], "a member stands twice"),
        (["fit", "{scores}.gone", "--out", "{out}"], "no such file"),
        (["fit", "{scores}", "--into", "{out}"], "--into needs --name"),
        (["fit", "{scores}", "--into", "{out}", "--name", "x"], "no such file"),
        (["evaluate", "{scores}", "--policy", "{out}"], "no such file"),
        (["fit", "{scores}", "--out", "{out}/no/folder"], "no such folder"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], message: str, scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert main([argument.format(scores=scores, out=out) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_nothing_is_replaced_unasked(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "policy.json"
    out.write_text("mine")
    assert main(["fit", str(scores), "--out", str(out)]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["fit", str(scores), "--out", str(out), "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": np.array(["0", "1", "2"])}, "the scores are not those of 'digits''s 'digits-0'"),
        ({"macs": np.array([1.0, 1.0, 1.0])}, "'digits-0' costs 640 MACs, in the scores 1"),
        ({"names": np.array(["a", "b", "c"])}, "no outputs of member 'digits-0'"),
    ],
)
def test_a_cascade_takes_no_policy_fitted_on_other_members(
    change: dict[str, np.ndarray], message: str, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = repository.path / "fresh.npz"
    with np.load(fresh) as archive:
        arrays = dict(archive)
    np.savez(fresh, **(arrays | change))
    before = repository.file.read_bytes()
    assert main(["fit", str(fresh), "--into", str(repository.file), "--name", "x"]) == 2
    assert message in capsys.readouterr().err
    assert repository.file.read_bytes() == before


def test_foreign_members_are_refused(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = repository.path / "fresh.npz"
    with np.load(fresh) as archive:
        arrays = dict(archive)
    np.savez(fresh, **{**arrays, "sha256": np.array(["0", "1", "2"])})
    assert main(["evaluate", str(fresh), "--policy", str(repository.file)]) == 2
    assert "fitted on another 'digits-0'" in capsys.readouterr().err
