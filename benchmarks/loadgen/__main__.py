"""This load test beside MLPerf LoadGen: the same server, rate, Poisson arrivals and rows, in turns.

    python -m benchmarks.loadgen

LoadGen (its server scenario) gets an environment of its own, .venv-peers-loadgen, made when it is missing.
The server has one core and whoever generates the other. Two networks with random weights, a fifth of the rows
forwarded, one row a request. Prints each turn as it comes and writes benchmarks/results/loadgen.json.
"""

import argparse
import asyncio
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import uvloop
from numpy.typing import NDArray

from benchmarks.closed_loop import http_request
from benchmarks.peers.environments import ROOT, Environment
from benchmarks.repositories import REAL_IMAGE, real_repository
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server
from loadtest.case import Case
from loadtest.figures.statistics import latency
from loadtest.generator.local import LocalGenerator
from loadtest.generator.process import SWITCH_INTERVAL_S
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import constant_rate
from loadtest.traffic.samples import Samples
from loadtest.traffic.schedule import draw_schedule
from loadtest.wire.clients import fetch_served, open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor

RESULT = ROOT / "benchmarks" / "results" / "loadgen.json"
HERE = Path(__file__).parent
LOADGEN = Environment(ROOT / ".venv-peers-loadgen", HERE / "requirements.lock")
NETWORKS = ("resnet26t", "resnet26t")
FORWARDED = 0.2
NUM_IMAGES = 512
OUTPUTS = ("label", "score", "confidence", "accepted", "exit_stage")
LINES = {
    "p50_ms": "50.00 percentile latency (ns)",
    "p90_ms": "90.00 percentile latency (ns)",
    "p99_ms": "99.00 percentile latency (ns)",
}
THROUGHPUT = re.compile(r"Completed samples per second\s*:\s*([0-9.]+)")


@dataclass(frozen=True, kw_only=True)
class Turn:
    p50_ms: float
    p90_ms: float
    p99_ms: float
    requests_per_s: float


def loadgen_turn(server: MeasuredServer, messages: Path, rate: float, seconds: float, seed: int) -> Turn:
    host, port = server.http.split(":")
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [LOADGEN.python, HERE / "driver.py", messages, host, port]
        command += [str(rate), str(seconds), str(seed), folder]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures = {name: _nanoseconds(printed, line) / 1e6 for name, line in LINES.items()}
    found = THROUGHPUT.search(printed)
    assert found is not None, printed
    return Turn(**figures, requests_per_s=float(found[1]))


def _nanoseconds(printed: str, line: str) -> float:
    found = re.search(re.escape(line) + r"\s*:\s*(\d+)", printed)
    assert found is not None, printed
    return float(found[1])


async def our_turn(
    server: MeasuredServer, images: NDArray[np.uint8], rate: float, seconds: float, seed: int
) -> tuple[Turn, float]:
    """And the p99 of the generator's lag, in ms."""
    target = parse_target(f"http://{server.http}")
    samples = Samples(inputs=(NamedTensor("image", "UINT8", images),))
    load = LoadConfig(rate=constant_rate(rate), duration_s=seconds, seed=seed)
    async with open_clients([target], ["real"], WireOptions()) as clients:
        served = await fetch_served(clients[target, "real"])
        case = Case(target=target, served=served, policy="window", contender="window", over="http")
        schedule = draw_schedule(load, len(samples))
        prepared = await LocalGenerator(clients, samples).prepare(case, schedule, load, 0)
        run = await prepared.run_at(lambda _, __: None)
    requests = run.samples.requests
    figures = latency(requests.latency_ms)
    turn = Turn(
        p50_ms=figures.p50_ms,
        p90_ms=figures.p90_ms,
        p99_ms=figures.p99_ms,
        requests_per_s=len(requests) / float(requests.done_s.max() - requests.intended_s.min()),
    )
    return turn, latency(requests.lag_ms).p99_ms


def write_messages(path: Path, server: MeasuredServer, images: NDArray[np.uint8]) -> None:
    with path.open("wb") as file:
        for image in images:
            message = http_request(server.http, "real", image[None], policy="window", outputs=OUTPUTS)
            file.write(struct.pack("<I", len(message)) + message)


def in_turns(
    server: MeasuredServer, images: NDArray[np.uint8], options: argparse.Namespace
) -> tuple[dict[str, list[Turn]], list[float]]:
    turns: dict[str, list[Turn]] = {"loadgen": [], "ours": []}
    lags: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        messages = Path(folder) / "messages"
        write_messages(messages, server, images)
        for number in range(options.turns):
            for name in ("loadgen", "ours") if number % 2 else ("ours", "loadgen"):
                if name == "loadgen":
                    turn = loadgen_turn(server, messages, options.rate, options.seconds, number + 1)
                else:
                    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                        run = our_turn(server, images, options.rate, options.seconds, number + 1)
                        turn, lag_ms = runner.run(run)
                        lags.append(lag_ms)
                turns[name].append(turn)
                print(name, asdict(turn), flush=True)
    return turns, lags


def medians(turns: Sequence[Turn]) -> dict[str, float]:
    return {name: median(getattr(turn, name) for turn in turns) for name in asdict(turns[0])}


def compared(ours: Sequence[Turn], theirs: Sequence[Turn]) -> dict[str, Any]:
    """Medians of each, and of the ratios of neighbouring turns."""
    pairs = list(zip(ours, theirs, strict=True))
    names = list(asdict(ours[0]))
    ratios = {name: [getattr(a, name) / getattr(b, name) for a, b in pairs] for name in names}
    return {
        "median": {"ours": medians(ours), "loadgen": medians(theirs)},
        "ours_over_loadgen": {
            name: {"median": median(each), "least": min(each), "most": max(each)}
            for name, each in ratios.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second (default %(default)g)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a turn (default %(default)g)")
    parser.add_argument("--turns", type=int, default=24, help="of each (default %(default)s)")
    options = parser.parse_args()
    if not LOADGEN.is_ready():
        LOADGEN.make()
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *REAL_IMAGE), np.uint8)
    cores = sorted(os.sched_getaffinity(0))
    # As the load test itself has it.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        real_repository(repository, NETWORKS, images, FORWARDED)
        os.sched_setaffinity(0, {cores[0]})
        with measured_server(repository, "--workers", "1") as server:
            os.sched_setaffinity(0, {cores[-1]})
            turns, lags = in_turns(server, images, options)
    result: dict[str, Any] = {
        "loadgen_version": LOADGEN.version("mlcommons-loadgen"),
        "rate": options.rate,
        "seconds": options.seconds,
        "turns": {name: [asdict(turn) for turn in each] for name, each in turns.items()},
        "lag_p99_ms": lags,
        **compared(turns["ours"], turns["loadgen"]),
    }
    print(result["median"], result["ours_over_loadgen"], sep="\n")
    write_result(RESULT, **result)


if __name__ == "__main__":
    main()
