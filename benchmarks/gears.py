"""Gears on against off, when three times as much is offered as the dearest policy can serve.

    make demo && python -m benchmarks.gears

The demo's cascade (three members of equal cost, trained on real digits), with the policy `full` for
default; one server has the gears `full`, `window`, `first`, the other none. Requests of 32 rows of the
test split, which nothing was fitted on, arrive open-loop (Poisson, drawn first) over HTTP, each with a
deadline; an answer is good if it came within it of its intended send. The servers take turns. Prints each
block as it comes and writes benchmarks/results/gears.json.
"""

import argparse
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.closed_loop import drive, http_request
from benchmarks.open_loop import Phase, Samples, play
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server
from cascade.cascade_file import read_cascade, write_cascade
from loadtest.wire.client import Reply, Request

RESULT = Path(__file__).parent / "results" / "gears.json"
GEARS = ("full", "window", "first")
NAME = "digits"
ROWS = 32
OVERLOAD = 3.0
CLIENTS = 16
CAPACITY_S = 4.0
CONNECTIONS = 1000
GIVE_UP_S = 10.0


def with_gears(repository: Path, to: Path, gears: Sequence[str]) -> Path:
    shutil.copytree(repository, to)
    file = to / f"{NAME}.cascade.json"
    write_cascade(file, replace(read_cascade(file), default_policy=GEARS[0], gears=tuple(gears)))
    return to


def requests_of(
    server: MeasuredServer, images: NDArray[np.uint8], timeout_us: int | None, policy: str | None = None
) -> list[bytes]:
    pieces = np.split(images[: len(images) // ROWS * ROWS], len(images) // ROWS)
    options: dict[str, Any] = {"outputs": ("label",), "timeout_us": timeout_us, "policy": policy}
    return [http_request(server.http, NAME, piece, **options) for piece in pieces]


def capacity(server: MeasuredServer, images: NDArray[np.uint8], policy: str) -> float:
    """Requests a second at saturation."""
    encoded = requests_of(server, images, None, policy)
    return drive("http", server.http, encoded, ROWS, CLIENTS, CAPACITY_S).requests_per_s


def measure_block(
    server: MeasuredServer,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    rate: float,
    options: argparse.Namespace,
    seed: int,
) -> dict[str, Any]:
    encoded = requests_of(server, images, round(options.deadline_ms * 1000))
    played = play(
        server,
        [Request(message) for message in encoded],
        [Phase(rate, options.seconds)],
        deadline_s=options.deadline_ms / 1000,
        connections=CONNECTIONS,
        give_up_s=GIVE_UP_S,
        seed=seed,
    )
    (samples,) = played.phases
    right = [count for count, _ in _answers(samples, labels)]
    policies = Counter(policy for _, policy in _answers(samples, labels))
    return {
        "good_requests_per_s": round(len(right) / options.seconds, 1),
        "right_rows_per_s": round(sum(right) / options.seconds, 1),
        "accuracy_of_good": round(sum(right) / (ROWS * len(right)), 4) if right else None,
        "policies": {name: round(count / len(right), 4) for name, count in policies.most_common()},
        "shed": round(float(samples.of("shed").mean()), 4),
        "late_or_degraded": round(float((samples.of("late") | samples.of("degraded")).mean()), 4),
        "p99_ms": round(float(np.percentile(samples.latency_s[samples.of("good")], 99) * 1e3), 1),
        "generator_cores": round(played.generator_cores, 3),
    }


def _answers(samples: Samples, labels: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Of each good answer, how many of its rows are right, and its policy."""
    for number in np.flatnonzero(samples.of("good")).tolist():
        place = int(samples.request[number])
        policy, told = _read(samples.replies[number])
        yield int((told == labels[place * ROWS : (place + 1) * ROWS]).sum()), policy


def _read(reply: Reply) -> tuple[str, NDArray[np.int64]]:
    head = orjson.loads(reply.body[: reply.json_bytes])
    return head["parameters"]["policy"], np.frombuffer(reply.body[reply.json_bytes :], np.int64)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    split = np.load(options.samples)
    images, labels = split["image"], split["labels"]
    repositories = {
        "on": with_gears(options.repository, folder / "on", GEARS),
        "off": with_gears(options.repository, folder / "off", ()),
    }
    with measured_server(repositories["on"]) as on, measured_server(repositories["off"]) as off:
        servers = {"on": on, "off": off}
        alone = {policy: capacity(on, images, policy) for policy in GEARS}
        print({policy: round(each, 1) for policy, each in alone.items()}, flush=True)
        blocks: dict[str, list[dict[str, Any]]] = {"on": [], "off": []}
        capacities = []
        for block in range(options.blocks):
            capacities.append(capacity(off, images, GEARS[0]))
            for name in ("on", "off"):
                rate = OVERLOAD * capacities[-1]
                blocks[name].append(measure_block(servers[name], images, labels, rate, options, seed=block))
                print(name, blocks[name][-1], flush=True)
    return {
        "rows_per_request": ROWS,
        "deadline_ms": options.deadline_ms,
        "offered_over_capacity_of_full": OVERLOAD,
        "capacity_requests_per_s": {policy: round(each, 1) for policy, each in alone.items()},
        "capacity_of_full_before_blocks": [round(each, 1) for each in capacities],
        "blocks": blocks,
        "summary": {name: _summary(blocks[name], mean(capacities)) for name in blocks},
    }


def _summary(blocks: Sequence[dict[str, Any]], capacity_of_full: float) -> dict[str, float]:
    return {
        "goodput_over_capacity_of_full": round(
            median(block["good_requests_per_s"] for block in blocks) / capacity_of_full, 3
        ),
        "accuracy_of_good": round(median(block["accuracy_of_good"] for block in blocks), 4),
        "right_rows_per_s": round(median(block["right_rows_per_s"] for block in blocks), 1),
        "p99_ms": round(median(block["p99_ms"] for block in blocks), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--samples", type=Path, default=Path("runs/digits/splits/test.npz"))
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each block")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--deadline-ms", type=float, default=100.0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(options, Path(folder))
    write_result(options.out, **measured)


if __name__ == "__main__":
    main()
