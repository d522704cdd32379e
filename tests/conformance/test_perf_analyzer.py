"""NVIDIA's perf_analyzer, really measuring: it asks for metadata, configuration, statistics and inference."""

import csv
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.clients import connect
from tests.conformance.installation import PERF_ANALYZER, lay_out_libraries, require_perf_analyzer
from tests.conformance.targets import Target

REQUESTS = 120
COUNT = re.compile(r"Request count: (\d+)")
ENDED_S = 60

MODES: dict[str, tuple[str, ...]] = {
    # By default it measures windows of time until three of them agree; a number of requests is shorter.
    "windows": ("--measurement-interval=300", "--stability-percentage=100"),
    "sync": (),
    "async": ("--async",),
    "batch": ("-b", "4"),
    "json": ("--input-tensor-format=json", "--output-tensor-format=json"),
    "stream": ("--streaming",),
    "gzip": ("--grpc-compression-algorithm=gzip",),
    "shared-memory": ("--shared-memory=system", "--output-shared-memory-size=65536"),
}
RUNS = [
    *(("http", mode) for mode in ("windows", "sync", "async", "batch", "json", "shared-memory")),
    *(("grpc", mode) for mode in ("windows", "sync", "async", "stream", "gzip", "shared-memory")),
]


@dataclass(frozen=True)
class Measured:
    exit_code: int
    text: str
    per_second: float
    """Rows; 0 where nothing was measured."""

    requests: int
    """As the client counts them."""


@pytest.fixture(scope="module")
def perf_analyzer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Measured]:
    require_perf_analyzer()
    folder = tmp_path_factory.mktemp("perf_analyzer")
    path = lay_out_libraries(folder)
    report = folder / "report.csv"

    def run(model: str, protocol: str, address: str, *arguments: str) -> Measured:
        report.unlink(missing_ok=True)
        done = subprocess.run(
            [PERF_ANALYZER, "-m", model, "-i", protocol, "-u", address, "-f", report, *arguments],
            env=os.environ | {"LD_LIBRARY_PATH": path},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=ENDED_S,
            check=False,
        )
        counts = COUNT.findall(done.stdout)
        return Measured(done.returncode, done.stdout, throughput(report), int(counts[0]) if counts else 0)

    return run


def throughput(report: Path) -> float:
    if not report.exists():
        return 0.0
    with report.open(encoding="utf-8", newline="") as file:
        return sum(float(row["Inferences/Second"]) for row in csv.DictReader(file))


def failures(target: Target) -> int:
    with connect("http", target.server) as client:
        (entry, *_) = client.get_inference_statistics(target.model)["model_stats"]
    assert entry["name"] == target.model
    return int(entry["inference_stats"]["fail"]["count"])


def under_way(target: Target) -> int:
    """Requests that the server has not answered; of Triton it is not known here."""
    if target.is_triton:
        return 0
    with urllib.request.urlopen(f"http://{target.server.http}/metrics", timeout=10) as response:
        (found,) = re.findall(r"^exitgate_active_requests (\S+)$", response.read().decode(), re.MULTILINE)
    return int(float(found))


def measured_in_time(perf_analyzer: Callable[..., Measured], target: Target, *arguments: str) -> Measured:
    """It was seen to hang, once in hundreds of streams; where nothing waits for an answer it is run again."""
    try:
        return perf_analyzer(target.model, *arguments)
    except subprocess.TimeoutExpired:
        assert under_way(target) == 0
        return perf_analyzer(target.model, *arguments)


@pytest.mark.parametrize(("protocol", "mode"), RUNS, ids=lambda value: value)
def test_it_measures_without_an_error(
    protocol: str, mode: str, target: Target, perf_analyzer: Callable[..., Measured]
) -> None:
    address = target.server.http if protocol == "http" else target.server.grpc
    before = failures(target)
    amount = () if mode == "windows" else (f"--request-count={REQUESTS}",)
    arguments = ("--concurrency-range=4", *amount, *MODES[mode])
    measured = measured_in_time(perf_analyzer, target, protocol, address, *arguments)
    assert measured.exit_code == 0, measured.text
    assert "error" not in measured.text.lower(), measured.text
    assert measured.requests == REQUESTS or (mode == "windows" and measured.requests > 0), measured.text
    assert measured.per_second > 0
    assert failures(target) == before


def test_a_model_that_is_not_there_is_an_error(
    target: Target, perf_analyzer: Callable[..., Measured]
) -> None:
    measured = perf_analyzer("no-such-model", "http", target.server.http, f"--request-count={REQUESTS}")
    assert measured.exit_code != 0
    assert measured.per_second == 0
    assert "no-such-model" in measured.text
