"""What the router costs: with members that do nothing, and against the offline ideal with real ones.

    python -m benchmarks.router_overhead

Prints each measurement as it comes and writes benchmarks/results/router_overhead.json.
"""

import argparse
import asyncio
import itertools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from numpy.typing import NDArray

from benchmarks.closed_loop import Measured, drive_grpc, drive_http, grpc_request, http_request
from benchmarks.offline_ideal import best_cpu_s_per_row
from benchmarks.repositories import NOOP_IMAGE, REAL_IMAGE, noop_repository, real_repository
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server

RESULT = Path(__file__).parent / "results" / "router_overhead.json"
CLIENTS = (1, 8, 32)
FORWARDED = 0.2
CLIENTS_AT_SATURATION = {1: 128, 8: 32}
"""By rows a request: four times the largest batch is under way, and with 8 rows twice that, since most rows
of a request are done before its answer is."""

NETWORKS = {"resnet10t, resnet26t": ("resnet10t", "resnet26t")}


@dataclass(frozen=True)
class Load:
    """Images sent as requests of `rows` rows by `clients` clients."""

    model: str
    images: NDArray[np.uint8]
    rows: int
    clients: int
    seconds: float

    def drive(self, server: MeasuredServer, protocol: str) -> Measured:
        pieces = [self.images[k : k + self.rows] for k in range(0, len(self.images), self.rows)]
        if protocol == "http":
            requests = [http_request(server.http, self.model, piece) for piece in pieces]
            run = drive_http(server.http, requests, self.rows, self.clients, self.seconds)
        else:
            requests = [grpc_request(self.model, piece) for piece in pieces]
            run = drive_grpc(server.grpc, requests, self.rows, self.clients, self.seconds)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run)


def measure_noop(folder: Path, seconds: float) -> list[dict[str, Any]]:
    noop_repository(folder)
    images = np.zeros((64, *NOOP_IMAGE), np.uint8)
    results = []
    with measured_server(folder) as server:
        for protocol in ("http", "grpc"):
            Load("noop", images, 1, 8, 1.0).drive(server, protocol)
            for clients in CLIENTS:
                before = server.cpu_s()
                measured = Load("noop", images, 1, clients, seconds).drive(server, protocol)
                results.append(_noop_row(protocol, clients, measured, server.cpu_s() - before))
                print(results[-1], flush=True)
    return results


def _noop_row(protocol: str, clients: int, measured: Measured, cpu_s: float) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "clients": clients,
        "requests_per_s": round(measured.requests_per_s),
        "p50_ms": round(measured.percentile_ms(50), 3),
        "p99_ms": round(measured.percentile_ms(99), 3),
        "server_cpu_ms_per_request": round(cpu_s / len(measured.latency_s) * 1e3, 3),
    }


def measure_real(folder: Path, names: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """The ideal before and after each load, since the machine's speed drifts; a load is compared with the
    mean of the two."""
    images = np.random.default_rng(0).integers(0, 256, (1024, *REAL_IMAGE), np.uint8)
    real_repository(folder, names, images, FORWARDED)
    served = []
    before = _ideals(folder, images)
    for protocol, rows in itertools.product(("http", "grpc"), (1, 8)):
        load = Load("real", images, rows, CLIENTS_AT_SATURATION[rows], seconds)
        with measured_server(folder) as server:
            load.drive(server, protocol)
            spent = server.cpu_s()
            measured = load.drive(server, protocol)
            spent = (server.cpu_s() - spent) / (len(measured.latency_s) * rows)
        after = _ideals(folder, images)
        ideals = {key: (before[key] + after[key]) / 2 for key in before}
        served.append(_real_row(protocol, load, measured, ideals, spent))
        print(served[-1], flush=True)
        before = after
    return {"served": served}


def _ideals(folder: Path, images: NDArray[np.uint8]) -> dict[str, float]:
    """CPU-seconds a row, of one process and of one for each processor."""
    processes = {"alone": 1, "all_cores_busy": os.cpu_count() or 1}
    return {
        key: best_cpu_s_per_row(folder, "real", "window", images, number)[0]
        for key, number in processes.items()
    }


def _real_row(
    protocol: str, load: Load, measured: Measured, ideals: dict[str, float], spent: float
) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "rows_per_request": load.rows,
        "clients": load.clients,
        "rows_per_s": round(measured.rows_per_s),
        "p50_ms": round(measured.percentile_ms(50), 1),
        "p99_ms": round(measured.percentile_ms(99), 1),
        "server_cpu_ms_per_row": round(spent * 1e3, 3),
        "ideal_cpu_ms_per_row": {key: round(ideal * 1e3, 3) for key, ideal in ideals.items()},
        "ideal_over_server": {key: round(ideal / spent, 3) for key, ideal in ideals.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each run")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_result(
            options.out,
            noop_12_kb=measure_noop(Path(folder) / "noop", options.seconds),
            real={
                title: measure_real(Path(folder) / title, names, options.seconds)
                for title, names in NETWORKS.items()
            },
        )


if __name__ == "__main__":
    main()
