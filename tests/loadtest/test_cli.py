"""The whole tool, against a real server on loopback."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loadtest.cli import main
from loadtest.generator.local import WARM_UP_REQUESTS
from tests.loadtest.tiny_campaign import FAST, rows
from tests.loadtest.tiny_server import TinyServer, tiny_server

REPOSITORY = Path(__file__).parents[2]


def run(server: TinyServer, folder: Path, *more: str) -> int:
    samples = rows(folder, "test.npz")
    urls = [server.http_url, server.grpc_url]
    out = ["--samples", str(samples), "--out", str(folder / "report")]
    return main([*urls, "--model", "tiny", *out, *FAST, *more])


def test_a_report_of_every_policy_over_every_protocol(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, tmp_path, "--ood", str(rows(tmp_path, "ood.npz"))) == 0
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    cases = {(case["contender"], case["over"]): case for case in summary["cases"]}
    assert list(cases) == [(p, w) for p in ("first", "window", "full") for w in ("http", "grpc")]
    assert summary["disagreements"] == {"first": 0, "window": 0, "full": 0}
    assert summary["baseline"] == "full"
    for key, cost in zip(cases, (1.0, 1.0, 1.6, 1.6, 4.0, 4.0), strict=True):
        quality, load = cases[key]["quality"], cases[key]["load"]
        assert quality["cost"] == pytest.approx(cost)
        assert quality["is_cost_matched"]
        assert quality["accuracy"]["value"] == 0.9
        assert quality["coverage"]["value"] == 0.5
        assert quality["risk"]["value"] == pytest.approx(0.2)
        assert quality["agreement"]["value"] == 1.0
        assert quality["ood_accepted"]["value"] == 0.5
        assert load["num_requests"] == 30
        assert load["num_errors"] == 0
        # 30 rows are every one of the ten rows three times.
        assert cases[key]["under_load"]["accuracy"]["value"] == pytest.approx(0.9)
        assert cases[key]["under_load"]["kept"] == 1.0
        assert cases[key]["capacity"]["rows_per_s"] > 0
        assert (cases[key]["difference"] is None) == (key[0] == "full")
    assert [share["value"] for share in cases["window", "http"]["quality"]["exits"]] == [0.8, 0.2]
    assert cases["window", "http"]["quality"]["exit_reasons"] == {"window": 8, "last": 2}
    assert cases["window", "http"]["difference"]["cost"] == pytest.approx(1.6 - 4.0)
    printed = capsys.readouterr().out
    assert "http and grpc agree" in printed
    assert "…" not in printed, "a table must not be cut"


def test_what_a_report_holds(server: TinyServer, tmp_path: Path) -> None:
    assert run(server, tmp_path, "--policies", "window,first", "--seed", "3") == 0
    report = tmp_path / "report"
    page = (report / "report.html").read_text()
    # Self-contained: no address but those typed on the command line, pictures inside.
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert page.count("data:image/png;base64,") == len(list(report.glob("*.png"))) > 5
    assert "gallery" not in page, "rows of numbers are no pictures"
    with (report / "summary.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["contender"], line["over"]) for line in lines[:2]] == [
        ("window", "http"),
        ("window", "grpc"),
    ]
    assert float(lines[0]["cost"]) == pytest.approx(1.6)
    censuses, loads = (
        {f"{kind}-{policy}-{over}.npz" for policy in ("window", "first") for over in ("http", "grpc")}
        for kind in ("census", "load")
    )
    assert {path.name for path in (report / "raw").iterdir()} == {"schedule.npz", *censuses, *loads}
    schedule = np.load(report / "raw" / "schedule.npz")
    for name in ("window-http", "window-grpc", "first-http"):
        raw = np.load(report / "raw" / f"load-{name}.npz")
        assert np.array_equal(raw["intended_s"], schedule["intended_s"])
        assert (raw["status"] == 0).all()
        assert np.array_equal(raw["row_sample"], schedule["rows"])
        assert (raw["row_label"] == raw["row_sample"] % 2).all()
    census = np.load(report / "raw" / "census-window-grpc.npz")
    assert census["label"].tolist() == [0, 1] * 5
    assert census["exit_stage"].tolist() == [1, 1, 1, 1, 2, 2, 1, 1, 1, 1]


def test_a_failed_census_leaves_no_report(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuse_every = 1
    assert run(server, tmp_path) == 1
    assert capsys.readouterr().err.startswith(
        "error: census of first over http: a request failed (503 (retry after 1 s): too busy)"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["test.npz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policies", "first,none"], "'tiny' has no policy 'none'; there are: first, window, full"),
        (["--policies", "first,"], "--policies 'first,': a name is empty or stands twice"),
        (["--model", "other"], "model 'other' is not served there; there are: tiny, tiny-0, tiny-1"),
        (["--model", "tiny,other"], "model 'other' is not served there; there are: tiny, tiny-0, tiny-1"),
        (["--model", "tiny,tiny"], "--model 'tiny,tiny': none is named, or one twice"),
        (["--model", "../x"], "--model '../x' is no name of a model"),
        (["--rate", "0"], "--rate '0' sends nothing"),
        (["--rate", "nan"], "--rate: 'nan' is no rate"),
        (["--rate", "10..fast"], "--rate: 'fast' is no rate"),
        (["--duration", "-1"], "--duration -1 is not above 0"),
        (["--rate", "100000", "--duration", "3600"], "1 to 1000000 are allowed"),
        (["--rate", "0.1"], "makes 0.03 requests"),
        (["--rows-per-request", "0"], "--rows-per-request 0 is not within 1"),
        (["--rows-per-request", "9-3"], "--rows-per-request 9-3 is not within 1"),
        (["--rows-per-request", "many"], "--rows-per-request 'many' is neither a number nor a range"),
        (["--hard-share", "1.5"], "--hard-share 1.5 is not within 0 to 1"),
        (["--hard-bursts", "9/3"], "--hard-bursts 9/3 is not ON/PERIOD"),
        (["--burstiness", "0"], "--burstiness 0 is not above 0"),
        (["--processes", "20"], "--processes 20 is more than the 16 in flight"),
        (["--calibration", "x.npz"], "--calibration ranks difficulty, which nothing here asks for"),
        (["--hard-share", "1", "--calibration", "x.npz"], "--calibration x.npz: no such file"),
        (["--hard-share", "1", "--baseline", "x"], "--baseline 'x' is no contender"),
        (["http://:secret@127.0.0.1:80"], "a URL with a name or a password in it"),
        (["--processes", "0"], "--processes 0 is not within 1"),
        (["--baseline", "none"], "--baseline 'none' is no contender; there are: first, window, full"),
        (["--assert", "none:p99<1ms"], "--assert 'none' is no contender; there are: first, window, full"),
        (["--assert", "p99"], "--assert 'p99' is not FIGURE<VALUE"),
        (["--assert", "p98<1ms"], "--assert 'p98<1ms': no figure 'p98'; there are: p50, p90"),
        (["--assert", "accuracy>0.9ms"], "--assert 'accuracy>0.9ms': '0.9ms' is no value for accuracy"),
        (["--token-file", "none"], "none"),
        (["--tls-cert", "c.pem"], "--tls-cert and --tls-key go together"),
        (["--output", "scores"], "--output scores: tiny has a label of its own"),
        (["--max-in-flight", "0"], "--max-in-flight 0 is not within 1"),
        (["--timeout", "0"], "--timeout 0 is not above 0"),
        (["--arrivals", "bursts"], "--arrivals 'bursts' is neither of poisson, constant, gamma"),
        (["--seed", "-1"], "--seed -1 is negative"),
        (["--capacity-seconds", "-1"], "--capacity-seconds -1 is not above 0"),
        (["--samples", "none.npz"], "none.npz: no such file"),
        (["--ood", "none.npz"], "none.npz: no such file"),
        (["http://example.org:80"], "is not on this machine"),
        (["--faster"], "unrecognized arguments: --faster"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_any_load(
    server: TinyServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert run(server, tmp_path, *arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1
    assert message in printed
    assert server.num_requests == 0
    assert not (tmp_path / "report").exists()


def test_an_empty_trace_and_a_url_given_twice(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trace.csv").write_text("time_s\n")
    files = ["--samples", str(rows(tmp_path, "test.npz")), "--out", str(tmp_path / "report")]
    arguments = [server.http_url, "--model", "tiny", *files]
    assert main([*arguments, "--trace", str(tmp_path / "trace.csv")]) == 2
    assert "trace.csv: there are no times in it" in capsys.readouterr().err
    assert main([*arguments, "--trace", "t.csv", "--rate", "5"]) == 2
    assert "--trace and --rate contradict each other" in capsys.readouterr().err
    assert main([server.http_url, *arguments]) == 2
    assert f"error: {server.http_url} is given twice" in capsys.readouterr().err
    assert server.num_requests == 0


def test_assertions_are_a_gate(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the generator keeps up on a busy machine is not what is tested here."""
    monkeypatch.setattr("loadtest.figures.statistics.LAG_LIMIT_MS", 1e6)
    few = ["--policies", "window", "--capacity-seconds", "0", "--overwrite"]
    assert run(server, tmp_path, *few, "--assert", "accuracy>=0.9", "--assert", "window:cost<1.7") == 0
    capsys.readouterr()
    assert run(server, tmp_path, *few, "--assert", "accuracy>=0.9", "--assert", "cost<1.5") == 3
    printed = capsys.readouterr().out
    assert "✓ accuracy>=0.9" in printed and "✗ cost<1.5" in printed
    verdicts = json.loads((tmp_path / "report" / "summary.json").read_text())["verdicts"]
    assert [verdict["holds"] for verdict in verdicts] == [True, False]


def test_a_gate_lets_nothing_through_that_the_generator_may_have_spoilt(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.figures.statistics.LAG_LIMIT_MS", 0.0)
    few = ["--policies", "window", "--capacity-seconds", "0", "--assert", "accuracy>=0.9"]
    assert run(server, tmp_path, *few) == 3
    assert "INVALID RUN" in capsys.readouterr().out


def test_a_plain_model_beside_a_cascade(server: TinyServer, tmp_path: Path) -> None:
    both = ["--model", "tiny,tiny-0", "--policies", "window,@server", "--baseline", "tiny-0"]
    assert run(server, tmp_path, *both, "--capacity-seconds", "0") == 0
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    cases = {(case["contender"], case["over"]): case for case in summary["cases"]}
    assert list(cases)[::2] == [("tiny: window", "http"), ("tiny", "http"), ("tiny-0", "http")]
    assert cases["tiny-0", "grpc"]["quality"]["accuracy"]["value"] == 0.9
    assert cases["tiny-0", "grpc"]["quality"]["cost"] is None
    # No policy was named, and the server's own is `window`.
    assert cases["tiny", "http"]["quality"]["cost"] == pytest.approx(1.6)
    assert cases["tiny", "http"]["difference"]["accuracy"]["value"] == 0.0


def test_two_servers_are_compared_with_each_other(server: TinyServer, tmp_path: Path) -> None:
    with tiny_server() as second:
        files = ["--samples", str(rows(tmp_path, "test.npz")), "--out", str(tmp_path / "report")]
        alone = ["--model", "tiny", "--policies", "window", "--capacity-seconds", "0", "--duration", "0.3"]
        assert main([server.http_url, second.http_url, *alone, "--rate", "50", *files]) == 0
    one, other = json.loads((tmp_path / "report" / "summary.json").read_text())["cases"]
    assert one["difference"] is None
    assert other["difference"]["accuracy"]["value"] == 0.0
    assert "Differences to ‘window’" in (tmp_path / "report" / "report.html").read_text()


def test_what_is_not_measured_can_t_be_asserted(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, tmp_path, "--capacity-seconds", "0", "--assert", "capacity>1") == 2
    assert "--assert capacity: with --capacity-seconds 0" in capsys.readouterr().err
    assert server.num_requests == 0


def test_a_spell_without_requests_is_a_block_all_the_same(server: TinyServer, tmp_path: Path) -> None:
    """Two blocks, the second empty: what is answered within the first is in time, and its length is half."""
    idle = ["--policies", "window", "--rate", "100,0", "--duration", "0.6", "--block-seconds", "0.3"]
    assert run(server, tmp_path, *idle, "--capacity-seconds", "0") == 0
    (case, _) = json.loads((tmp_path / "report" / "summary.json").read_text())["cases"]
    assert case["load"]["num_requests"] == 30
    with (tmp_path / "report" / "latency-window-http.hlog").open() as file:
        intervals = [line for line in file if line[0].isdigit()]
    assert [float(line.split(",")[1]) for line in intervals] == [0.3, 0.3]


def test_several_processes_send_the_same_schedule(server: TinyServer, tmp_path: Path) -> None:
    assert run(server, tmp_path, "--policies", "window", "--processes", "2") == 0
    schedule = np.load(tmp_path / "report" / "raw" / "schedule.npz")
    raw = np.load(tmp_path / "report" / "raw" / "load-window-http.npz")
    assert np.array_equal(raw["intended_s"], schedule["intended_s"])
    assert np.array_equal(raw["row_sample"], schedule["rows"])
    assert (raw["status"] == 0).all()


def test_a_server_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples, out = str(rows(tmp_path, "test.npz")), str(tmp_path / "report")
    for protocol in ("http", "grpc"):
        arguments = ["--model", "tiny", "--samples", samples, "--out", out]
        assert main([f"{protocol}://127.0.0.1:1", *arguments]) == 2
        assert f"error: {protocol}://127.0.0.1:1: cannot be reached" in capsys.readouterr().err


def test_an_existing_report_is_kept_without_overwrite(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "summary.json").write_text("old")
    assert run(server, tmp_path) == 2
    assert "exists; --overwrite replaces it" in capsys.readouterr().err
    assert server.num_requests == 0
    assert run(server, tmp_path, "--policies", "full", "--overwrite", "--capacity-seconds", "0") == 0
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["cases"][0]["contender"] == "full"
    assert summary["cases"][0]["capacity"] is None


def test_an_out_that_cannot_be_written_is_refused_before_any_load(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(server, tmp_path, "--out", str(tmp_path / "file" / "report")) == 2
    assert "report can't be written (" in capsys.readouterr().err
    assert server.num_requests == 0


@pytest.mark.parametrize("strike", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_dies_or_stalls_under_load_still_makes_a_report(
    strike: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The census's one request, and then the load's 30th, or a later one where the warm-up was cut short.
    strike_at = 1 + WARM_UP_REQUESTS + 30
    arguments = ["--model", "tiny", "--policies", "first", "--rate", "50", "--duration", "1.5"]
    arguments += ["--timeout", "1", "--capacity-seconds", "0"]
    files = ["--samples", str(rows(tmp_path, "test.npz")), "--out", str(tmp_path / "report")]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.loadtest.tiny_server", str(int(strike)), str(strike_at)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            assert main([url, *arguments, *files]) == 0
        finally:
            process.kill()
    (case,) = json.loads((tmp_path / "report" / "summary.json").read_text())["cases"]
    load = case["load"]
    assert load["statuses"]["ok"] > 5
    assert load["statuses"]["broken"] + load["statuses"]["timeout"] > 5
    assert sum(load["statuses"].values()) == load["num_requests"] == 75
    assert load["latency"]["p99_ms"] is None
    assert load["server"]["cpu_ms"] is None
    assert "no answer" in capsys.readouterr().out


def test_an_interrupt_keeps_what_was_measured(server: TinyServer, tmp_path: Path) -> None:
    files = ["--samples", str(rows(tmp_path, "test.npz")), "--out", str(tmp_path / "report")]
    command = [
        sys.executable,
        "-m",
        "loadtest",
        server.http_url,
        "--model",
        "tiny",
        *files,
        "--duration",
        "60",
    ]
    # A shell's background jobs, and so a test run among them, have SIGINT ignored, and hand that on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        wait_until(lambda: server.num_requests > 20)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = tmp_path / "report.unfinished"
    assert printed.splitlines()[-1] == f"error: interrupted; what was measured so far is in {kept}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.unfinished", "test.npz"]
    assert np.load(kept / "raw" / "census-first-http.npz")["label"].tolist() == [0, 1] * 5


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
