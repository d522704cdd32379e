"""What a server that is offered more than it can do still does: goodput, sheds, and how soon it is well.

    python -m benchmarks.overload

Two members of tens of milliseconds a row, so that the generator and the edge hardly count; a fifth of the
rows goes on to the second. Capacity is measured closed-loop; then requests of one row arrive open-loop
(Poisson, drawn first) at multiples of it, each with a deadline (request parameter `timeout`), over HTTP. An
answer is good if it came within the deadline of its intended send and was not degraded. Every overload is
followed without a pause by half the capacity; recovery is the start of the first second whose p99 is within
1.5 times what it was at half the capacity before. Prints each measurement as it comes and writes
benchmarks/results/overload.json.
"""

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.closed_loop import drive, http_request
from benchmarks.open_loop import OUTCOMES, Phase, Played, Samples, play
from benchmarks.repositories import real_repository
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server
from loadtest.wire.client import Request

RESULT = Path(__file__).parent / "results" / "overload.json"
NETWORKS = ("resnet26t", "resnet26t")
IMAGE = (160, 160, 3)
FORWARDED = 0.2
NUM_IMAGES = 128
SATURATING_CLIENTS = 32
MULTIPLES = (0.8, 3.0, 10.0)
CALM = 0.5
CALM_S = 10.0
WINDOW_S = 1.0
STEP_S = 0.1
RECOVERED = 1.5
GIVE_UP_S = 10.0
CONNECTIONS = 1000


@dataclass(frozen=True)
class Bench:
    """`requests` tell the server of their deadline, if it is to know; those without are for the capacity."""

    server: MeasuredServer
    requests: list[Request]
    without_deadline: list[bytes]
    deadline_s: float
    capacity: float


def _play(bench: Bench, phases: Sequence[Phase], seed: int) -> Played:
    return play(
        bench.server,
        bench.requests,
        phases,
        deadline_s=bench.deadline_s,
        connections=CONNECTIONS,
        give_up_s=GIVE_UP_S,
        seed=seed,
    )


def measure_capacity(bench: Bench, seconds: float) -> float:
    """Rows a second at saturation, without deadlines."""
    measured = drive("http", bench.server.http, bench.without_deadline, 1, SATURATING_CLIENTS, seconds)
    return measured.rows_per_s


def measure_overload(bench: Bench, multiple: float, calm_p99_s: float, seconds: float) -> dict[str, Any]:
    """Capacity is measured anew before and after, since what else the machine does comes and goes."""
    bench = replace(bench, capacity=measure_capacity(bench, seconds / 3))
    phases = [Phase(multiple * bench.capacity, seconds), Phase(CALM * bench.capacity, CALM_S)]
    played = _play(bench, phases, seed=round(multiple * 100))
    loaded, after = played.phases
    capacities = bench.capacity, measure_capacity(bench, seconds / 3)
    goodput = float(loaded.of("good").sum() / seconds / mean(capacities))
    return {
        "offered_over_capacity": multiple,
        "capacity_before_and_after": [round(capacity, 1) for capacity in capacities],
        "requests": len(loaded.outcome),
        "goodput_over_capacity": round(goodput, 3),
        "share": {name: round(float(loaded.of(name).mean()), 4) for name in OUTCOMES},
        "good_ms": _times(loaded.latency_s[loaded.of("good")]),
        "shed_ms": _times(loaded.answer_s[loaded.of("shed")]),
        "timed_out_ms": _times(loaded.answer_s[loaded.of("timed_out")]),
        "recovery_s": recovery_s(after, calm_p99_s),
        "share_after": {name: round(float(after.of(name).mean()), 4) for name in OUTCOMES},
        "send_lag_p99_ms": round(float(np.percentile(loaded.lag_s, 99) * 1e3), 2),
        "generator_cores": round(played.generator_cores, 3),
        "server_cores": round(played.server_cores, 3),
        "refusals": dict(played.texts.most_common(5)),
    }


def _times(seconds: NDArray[np.float64]) -> dict[str, float]:
    if len(seconds) == 0:
        return {}
    p50, p99 = np.percentile(seconds, [50, 99])
    named = {"p50": p50, "p99": p99, "max": seconds.max()}
    return {name: round(float(value) * 1e3, 2) for name, value in named.items()}


def recovery_s(after: Samples, calm_p99_s: float) -> float | None:
    """Start of the first window that is as it was in calm; None where there is none."""
    return next((start for start in _window_starts() if _is_well(after, start, calm_p99_s)), None)


def _window_starts() -> list[float]:
    return [round(step * STEP_S, 1) for step in range(round((CALM_S - WINDOW_S) / STEP_S) + 1)]


def _is_well(samples: Samples, start: float, calm_p99_s: float) -> bool:
    p99_s = _p99_s(samples, start)
    return math.isfinite(p99_s) and p99_s <= RECOVERED * calm_p99_s


def _p99_s(samples: Samples, start: float, length: float = WINDOW_S) -> float:
    inside = (samples.intended_s >= start) & (samples.intended_s < start + length)
    if not inside.any():
        return math.inf
    # An observed value: between a good latency and an infinite one there is nothing to interpolate.
    return float(np.percentile(samples.good_latency_s()[inside], 99, method="higher"))


def measure_calm(bench: Bench) -> tuple[float, dict[str, Any]]:
    """The p99 at half the capacity, and how many of its own windows would count as recovered."""
    played = _play(bench, [Phase(CALM * bench.capacity, CALM_S)], seed=1)
    (calm,) = played.phases
    p99_s = _p99_s(calm, 0.0, CALM_S)
    well = mean(_is_well(calm, start, p99_s) for start in _window_starts())
    return p99_s, {
        "offered_over_capacity": CALM,
        "share": {name: round(float(calm.of(name).mean()), 4) for name in OUTCOMES},
        "good_ms": _times(calm.latency_s[calm.of("good")]),
        "windows_well": round(well, 3),
        "refusals": dict(played.texts.most_common(5)),
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *IMAGE), np.uint8)
    real_repository(folder, NETWORKS, images, FORWARDED)
    flags = ["--max-batch-rows", str(options.max_batch_rows)] if options.max_batch_rows else []
    with measured_server(folder, *flags) as server:
        bench = _bench(server, images, options)
        capacity, ms_per_row = _first_capacity(bench, options.seconds / 3)
        print({"capacity": round(capacity, 1), "CPU-ms per row and member": round(ms_per_row, 1)}, flush=True)
        bench = replace(bench, capacity=capacity)
        calm_p99_s, calm = measure_calm(bench)
        print(calm, flush=True)
        overloads = []
        for multiple in options.multiples:
            overloads.append(measure_overload(bench, multiple, calm_p99_s, options.seconds))
            print(overloads[-1], flush=True)
    return {
        "capacity_rows_per_s": round(capacity, 2),
        "cpu_ms_per_row_and_member": round(ms_per_row, 2),
        "deadline_ms": options.deadline_ms,
        "sends_timeout": not options.no_timeout,
        "server_flags": flags,
        "calm": calm,
        "overloads": overloads,
    }


def _bench(server: MeasuredServer, images: NDArray[np.uint8], options: argparse.Namespace) -> Bench:
    def encoded(timeout_us: int | None) -> list[bytes]:
        return [http_request(server.http, "real", image[None], timeout_us=timeout_us) for image in images]

    timeout_us = None if options.no_timeout else round(options.deadline_ms * 1000)
    requests = [Request(message) for message in encoded(timeout_us)]
    return Bench(server, requests, encoded(None), options.deadline_ms / 1000, capacity=math.nan)


def _first_capacity(bench: Bench, seconds: float) -> tuple[float, float]:
    """And the CPU-milliseconds of the server for each row of a member."""
    measure_capacity(bench, 1.0)
    cpu_s, rows = bench.server.cpu_s(), _member_rows(bench.server)
    capacity = measure_capacity(bench, seconds)
    return capacity, (bench.server.cpu_s() - cpu_s) / (_member_rows(bench.server) - rows) * 1e3


def _member_rows(server: MeasuredServer) -> int:
    return sum(rows for name, rows in server.executed_rows().items() if name.startswith("real-"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each overload")
    parser.add_argument("--deadline-ms", type=float, default=500.0)
    parser.add_argument("--multiples", type=float, nargs="+", default=MULTIPLES, help="of the capacity")
    parser.add_argument("--max-batch-rows", type=int, help="of the server; its default otherwise")
    parser.add_argument("--no-timeout", action="store_true", help="do not tell the server of the deadline")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(options, Path(folder) / "repository")
    write_result(options.out, **measured)


if __name__ == "__main__":
    main()
