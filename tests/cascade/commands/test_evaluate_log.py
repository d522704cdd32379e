"""`evaluate --log` as a user types it."""

import json
import sys
from pathlib import Path

import pytest

from cascade.__main__ import main
from tests.cascade.command_line import error_of, run
from tests.cascade.logs import row, write_log
from tests.repositories import Repository


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    write_log(folder / "1.parquet", *(row(f"r{k}", label=k % 3, confidence=0.75) for k in range(4)))
    late = row("r4", accepted=False, exit_stage=2, exit_reason="deadline", degraded=True, confidence=0.25)
    write_log(folder / "2.parquet", late)
    (folder / "3.parquet.partial").touch()
    return folder


def written(folder: Path, *lines: str) -> Path:
    file = folder / "labels.csv"
    file.write_text("\n".join(["request_id,row,label", *lines]) + "\n")
    return file


def test_risk_of_a_log_once_labels_are_there(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = written(tmp_path, "r0,0,0", "r1,0,9", "r4,0,0", "r9,0,0", "r9,0,0")
    asked = ["evaluate", "--log", str(log), "--labels", str(labels)]
    assert main(asked) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "log         5 rows in 2 files, 2026-03-01T12:00:00+00:00 to 2026-03-01T12:00:03+00:00",
        "",
        "model       m, version 1, policy window",
        "rows        5 (3 with a label)",
        "coverage    80.0% (66.7% of those with a label)",
        "risk        50.0% [9.5%, 90.5%] of 2 accepted",
        "accuracy    66.7% [20.8%, 93.9%] of 3",
        "confidence  0.650 (0.583 of those with a label)",
        "degraded    20.0%",
        "exits       stage 1: 80.0%  stage 2: 20.0%",
        "reasons     deadline: 20.0%  window: 80.0%",
    ]
    assert captured.err.splitlines() == [
        "note: 1 lines of the labels repeat others",
        "note: 1 of 4 labels are of rows that the log does not have",
    ]
    figures = json.loads(run(capsys, *asked, "--json"))
    assert figures["log"]["files"] == 2
    assert figures["policies"][0]["risk"] == 0.5


def test_without_labels_there_are_shares(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "evaluate", "--log", log / "1.parquet", log / "2.parquet")
    assert "\nrisk        unknown\naccuracy    unknown\nconfidence  0.650\n" in told


def test_rows_that_are_there_twice_are_noted(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_log(log / "4.parquet", row("r0"))
    labels = written(tmp_path, "r0,0,0", "r1,0,1")
    assert main(["evaluate", "--log", str(log), "--labels", str(labels)]) == 0
    captured = capsys.readouterr()
    assert "\nrows        6 (1 with a label)\n" in captured.out
    assert captured.err == (
        "note: 2 rows are left without a label: their model's log has their request_id and row more than "
        "once\n"
    )


def test_labels_may_be_names(
    log: Path, repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The repository's classes are called 0 to 9."""
    document = json.loads(repository.file.read_text())
    document["classes"] = [f"class {k}" for k in range(10)]
    repository.file.write_text(json.dumps(document))
    labels = written(tmp_path, "r1,0,class 1", "r2,0,class 1")
    asked = ("evaluate", "--log", log, "--labels", labels, "--cascade", repository.file)
    assert "\naccuracy    50.0% [" in run(capsys, *asked)
    assert "for names give --cascade" in error_of(capsys, *asked[:-2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s.npz", "--log", "{log}"], "SCORES.npz does not go with --log"),
        (["--log", "{log}", "--policy", "p"], "--policy does not go with --log"),
        (["--log", "{log}", "--max-stages", "1"], "--max-stages does not go with --log"),
        (["--log", "{log}", "--rows", "r.npz"], "--rows does not go with --log"),
        (["--log", "{log}", "--failed", "a"], "--failed does not go with --log"),
        (["--log", "{log}", "--cascade", "c"], "--cascade goes with --labels"),
        (["s.npz", "--policy", "p", "--labels", "l"], "--labels goes with --log"),
        (["s.npz", "--policy", "p", "--cascade", "c"], "--cascade goes with --log"),
        (["s.npz"], "the following arguments are required: --policy (or --log)"),
        ([], "the following arguments are required: SCORES.npz, --policy (or --log)"),
        (["--log", "{log}/gone"], "gone: no such file or folder"),
        (["--log", "{log}", "--labels", "gone.csv"], "gone.csv: no such file"),
        (["--log", "{log}/3.parquet.partial"], "3.parquet.partial: not a Parquet file"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], message: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_of(capsys, "evaluate", *(argument.format(log=log) for argument in arguments))


def test_without_pyarrow_the_extra_is_named(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "a decision log needs pyarrow: pip install '.[log]'" in error_of(capsys, "evaluate", "--log", log)
