"""`search`, `sweep` and `plan`, whole, over the wire."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtest.cli import main
from tests.loadtest.tiny_campaign import rows
from tests.loadtest.tiny_server import TinyServer
from tests.repositories import make_repository
from tests.servers import serving

pytestmark = pytest.mark.usefixtures("no_lag_limit")


@pytest.fixture
def no_lag_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the generator keeps up on a busy machine is not what is tested here."""
    monkeypatch.setattr("loadtest.figures.statistics.LAG_LIMIT_MS", 1e6)


def run(command: str, server: TinyServer, folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    files = ["--samples", str(rows(folder, "test.npz")), "--out", str(folder / "report"), "--overwrite"]
    code = main([command, server.http_url, "--model", "tiny", *files, *more])
    summary = folder / "report" / "summary.json"
    return code, json.loads(summary.read_text()) if summary.exists() else {}


def test_a_search_ends_at_its_most_where_all_holds(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["--start-rate", "20", "--most-rate", "40", "--confirmations", "1", "--probe-seconds", "0.5"]
    code, summary = run("search", server, tmp_path, "--policies", "window", "--objective", "p50<5s", *limits)
    assert code == 0
    (found,) = summary["found"]
    assert (found["contender"], found["rate"], found["failed_rate"]) == ("window", 40.0, None)
    assert [probe["phase"] for probe in found["probes"]] == ["doubling", "doubling", "confirmation"]
    assert found["probes"][0]["under_load"]["kept"] == 1.0
    assert "40" in capsys.readouterr().out
    assert (tmp_path / "report" / "report.html").exists()


def test_a_search_finds_nothing_where_a_third_is_refused(server: TinyServer, tmp_path: Path) -> None:
    """The census's one request is the first."""
    server.refuse_every = 3
    limits = ["--start-rate", "40", "--least-rate", "20", "--probe-seconds", "0.5"]
    code, summary = run("search", server, tmp_path, "--policies", "window", "--objective", "p50<5s", *limits)
    assert code == 0
    (found,) = summary["found"]
    assert found["rate"] is None
    assert {probe["phase"] for probe in found["probes"]} == {"doubling"}
    assert all("rows are kept" in probe["missed"] for probe in found["probes"])


def test_a_probe_that_the_generator_may_have_spoilt_is_sent_again_and_holds_nothing(
    server: TinyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.figures.statistics.LAG_LIMIT_MS", 0.0)
    limits = ["--start-rate", "40", "--least-rate", "40", "--probe-seconds", "0.3"]
    code, summary = run("search", server, tmp_path, "--policies", "window", "--objective", "p50<5s", *limits)
    assert code == 0
    (found,) = summary["found"]
    assert found["rate"] is None
    assert [probe["is_good"] for probe in found["probes"]] == [True] * 3
    assert [probe["rate"] for probe in found["probes"]] == [40.0] * 3


def test_a_sweep_is_every_contender_at_every_rate_and_difficulty(server: TinyServer, tmp_path: Path) -> None:
    """Without `max_stages`, which the tiny server passes over, its first stage is as sure as its label."""
    easy, hard = np.full(7, 0.1), np.full(3, 0.9)
    samples = rows(tmp_path, "dial.npz", difficulty=np.concatenate([easy, hard]))
    grid = ["--rates", "20,40", "--hard-shares", "0,1", "--probe-seconds", "0.5"]
    code, summary = run(
        "sweep",
        server,
        tmp_path,
        *("--policies", "window,full", *grid, "--samples", str(samples), "--objective", "p99<5s"),
    )
    assert code == 0
    probes = summary["probes"]
    cells = {(probe["contender"], probe["rate"], probe["hard_share"]) for probe in probes}
    assert len(cells) == len(probes) == 8
    for probe in probes:
        # Of the hard rows, 7 to 9, a third is wrong; of the easy ones none.
        if probe["hard_share"] == 0:
            assert probe["under_load"]["accuracy"]["value"] == 1.0
        else:
            assert probe["under_load"]["accuracy"]["value"] == pytest.approx(2 / 3, abs=0.1)
    with (tmp_path / "report" / "summary.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("search", ["--objective", "p98<5ms"], "--objective 'p98<5ms' is not like p99<50ms"),
        ("search", ["--objective", "fast"], "--objective 'fast' is not like p99<50ms"),
        ("search", ["--goodput", "1.5"], "--goodput 1.5 is not above 0 and at most 1"),
        ("search", ["--start-rate", "9", "--most-rate", "5"], "are not in this order"),
        ("sweep", ["--rates", "fast"], "--rates 'fast' is no list of numbers"),
        ("sweep", ["--rates", "0,5"], "--rates '0,5' is no list of numbers"),
        ("sweep", ["--rates", "5", "--hard-shares", "2"], "--hard-shares '2' is no list of numbers up to 1"),
        ("sweep", ["--rates", "5", "--hard-share", "1"], "--hard-share: a sweep is told --hard-shares"),
        ("sweep", ["--rates", "0.01,5", "--probe-seconds", "1"], "makes 0.01 requests"),
        ("sweep", ["--rates", "5", "--calibration", "x.npz"], "--calibration ranks difficulty"),
        ("search", ["--least-rate", "0.01", "--probe-seconds", "1"], "makes 0.01 requests"),
        ("plan", ["--rate", "5", "--policies", "full", "--max-replicas", "0"], "--max-replicas 0 is not"),
        ("plan", ["--rate", "5", "--policies", "full", "--arrivals", "gamma"], "for Poisson arrivals"),
        ("plan", ["--rate", "5", "--policies", "full", "--processes", "2"], "measured by one process"),
        ("plan", ["--rate", "5"], "a plan is for one policy of one model at one URL"),
        ("plan", ["--rate", "5", "--policies", "full", "--check", "x"], "--check 'x' is no list of rates"),
        ("plan", ["--rate", "-5", "--policies", "full"], "--rate -5 is not above 0"),
    ],
)
def test_bad_input_is_refused_before_any_load(
    server: TinyServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    arguments: list[str],
    message: str,
) -> None:
    assert run(command, server, tmp_path, *arguments)[0] == 2
    assert message in capsys.readouterr().err
    assert server.num_requests == 0


def test_a_server_without_statistics_of_batches_can_t_be_planned_for(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = ["--learning-seconds", "0.2", "--check-seconds", "0.5"]
    assert run("plan", server, tmp_path, "--policies", "window", "--rate", "50", *fast)[0] == 1
    assert "member 'tiny-0': the statistics have no batch of it" in capsys.readouterr().err


def test_a_plan_of_a_real_server_and_its_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = make_repository(tmp_path / "repository", name="digits")
    np.savez(tmp_path / "test.npz", image=repository.test.image, labels=repository.test.labels)
    with serving(repository.path) as server:
        code = main(
            [
                *("plan", f"http://{server.http}", "--model", "digits", "--policies", "window"),
                *("--samples", str(tmp_path / "test.npz"), "--out", str(tmp_path / "report")),
                *("--rate", "2000", "--objective", "p50<2s", "--learning-seconds", "0.5"),
                *("--check", "50", "--check-seconds", "1"),
            ]
        )
    assert code == 0, capsys.readouterr().err
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    members = [member.name for member in repository.cascade.members]
    assert list(summary["plan"]["replicas"]) == members
    assert all(number >= 1 for number in summary["plan"]["replicas"].values())
    assert summary["full"] is not None
    assert sum(summary["exits"]) == pytest.approx(1.0)
    with (tmp_path / "report" / "summary.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["member"], int(line["replicas"])) for line in lines] == list(
        summary["plan"]["replicas"].items()
    )
    (check,) = summary["checks"]
    assert {line["figure"] for line in check["figures"]} == {
        "p50_ms",
        "p90_ms",
        "p99_ms",
        "member_ms_per_row",
    }
    printed = capsys.readouterr().out
    assert "predicted" in printed and "measured" in printed
