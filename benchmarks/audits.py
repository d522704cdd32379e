"""What audits say of a cascade's agreement with all its members, and what they cost.

    make demo && python -m benchmarks.audits

The demo's cascade under its default policy. First two servers, one with audits and one without, take turns
at saturation, closed loop: the ratios of their throughputs and of their CPU time a row. Then, at half of what
the one with audits can do (open-loop, Poisson), audits are made of rows drawn by the coin: their agreement,
with its 95% interval, beside the agreement of the default policy's labels with the policy `full`'s on all
samples, asked for over the wire. Prints each block as it comes and writes benchmarks/results/audits.json.
"""

import argparse
import re
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.closed_loop import HttpAnswer, drive, exchange_all, http_request
from benchmarks.open_loop import Phase, play
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server
from cascade.intervals import share_interval
from loadtest.wire.client import Request

RESULT = Path(__file__).parent / "results" / "audits.json"
NAME = "digits"
ROWS = 8
CLIENTS = 32
CONNECTIONS = 200
COUNTED = re.compile(r'^exitgate_audited_rows_total\{.*result="(\w+)"\} (\S+)$', re.MULTILINE)


def requests_of(address: str, images: NDArray[np.uint8], policy: str | None = None) -> list[bytes]:
    pieces = np.split(images[: len(images) // ROWS * ROWS], len(images) // ROWS)
    return [http_request(address, NAME, piece, policy=policy, outputs=("label",)) for piece in pieces]


def labels_of(server: MeasuredServer, images: NDArray[np.uint8], policy: str | None) -> NDArray[np.int64]:
    answers = exchange_all(server.http, requests_of(server.http, images, policy))
    return np.concatenate([_labels(answer) for answer in answers])


def _labels(answer: HttpAnswer) -> NDArray[np.int64]:
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.body[:200].decode()}")
    return np.frombuffer(answer.body[answer.json_bytes :], np.int64)


def audited(server: MeasuredServer) -> dict[str, int]:
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10) as response:
        text = response.read().decode()
    return {result: int(float(count)) for result, count in COUNTED.findall(text)}


def measure_cost(
    servers: dict[str, MeasuredServer], images: NDArray[np.uint8], options: argparse.Namespace
) -> dict[str, Any]:
    speed: dict[str, list[float]] = {name: [] for name in servers}
    cpu_ms: dict[str, list[float]] = {name: [] for name in servers}
    for block in range(options.blocks):
        # Who goes first changes: the first of a pair may find the machine otherwise than the second.
        for name, server in sorted(servers.items(), reverse=block % 2 == 1):
            load, before = requests_of(server.http, images), server.cpu_s()
            measured = drive("http", server.http, load, ROWS, CLIENTS, options.seconds)
            num_rows = ROWS * len(measured.latency_s)
            speed[name].append(measured.rows_per_s)
            cpu_ms[name].append((server.cpu_s() - before) / num_rows * 1e3)
        print({name: (round(speed[name][-1]), round(cpu_ms[name][-1], 4)) for name in servers}, flush=True)
    return {
        "rows_per_s": {name: [round(each) for each in values] for name, values in speed.items()},
        "cpu_ms_per_row": {name: [round(each, 4) for each in values] for name, values in cpu_ms.items()},
        "speed_audits_over_none": _ratios(speed),
        "cpu_audits_over_none": _ratios(cpu_ms),
    }


def _ratios(values: dict[str, list[float]]) -> dict[str, float]:
    ratios = [audits / none for audits, none in zip(values["audits"], values["none"], strict=True)]
    return {name: round(of(ratios), 4) for name, of in (("median", median), ("least", min), ("most", max))}


def measure_agreement(
    server: MeasuredServer, images: NDArray[np.uint8], rate: float, seconds: float
) -> dict[str, Any]:
    before = audited(server)
    load = [Request(message) for message in requests_of(server.http, images)]
    phases = [Phase(rate, seconds)]
    play(server, load, phases, deadline_s=10, connections=CONNECTIONS, give_up_s=10, seed=1)
    counts = {result: count - before.get(result, 0) for result, count in audited(server).items()}
    agreed, disagreed = counts.get("agreed", 0), counts.get("disagreed", 0)
    hits = np.repeat([True, False], [agreed, disagreed])
    low, high = share_interval(hits)
    is_same = labels_of(server, images, None) == labels_of(server, images, "full")
    return {
        "offered_rows_per_s": round(rate * ROWS),
        "audited": counts,
        "missing_share": round(counts.get("missing", 0) / max(1, sum(counts.values())), 4),
        "live_agreement": [round(float(value), 4) for value in (hits.mean(), low, high)],
        "true_agreement": round(float(is_same.mean()), 4),
        "is_inside": bool(low <= is_same.mean() <= high),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    images = np.load(options.samples)["image"]
    flags = ["--audit-share", str(options.share)]
    with measured_server(options.repository, *flags) as audits, measured_server(options.repository) as none:
        cost = measure_cost({"audits": audits, "none": none}, images, options)
        rate = median(cost["rows_per_s"]["audits"]) / ROWS / 2
        agreement = measure_agreement(audits, images, rate, options.audit_seconds)
        print(agreement, flush=True)
    return {"share": options.share, "rows_per_request": ROWS, "cost": cost, "agreement": agreement}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--samples", type=Path, default=Path("runs/digits/splits/test.npz"))
    parser.add_argument("--share", type=float, default=0.01, help="of the rows, audited")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each block at saturation")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--audit-seconds", type=float, default=40.0, help="at half of that")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    write_result(options.out, **measure(options))


if __name__ == "__main__":
    main()
