"""What a window gains over the wire: two members of equal cost, a fifth of the rows forwarded, or all.

    python -m benchmarks.window_over_wire

The ideal is 2 / 1.2 = 1.67 times the throughput. Blocks of `window` and `full` take turns at saturation, over
HTTP and gRPC, with 1 and 8 rows a request; the server's statistics tell that the rows were really left out.
Prints each measurement as it comes and writes benchmarks/results/window_over_wire.json.
"""

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.closed_loop import exchange_all, grpc_request, http_request
from benchmarks.repositories import REAL_IMAGE, real_repository
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server
from benchmarks.side_by_side import Contender, alternate, pieces, throughput_ratio

RESULT = Path(__file__).parent / "results" / "window_over_wire.json"
NETWORKS = ("resnet26t", "resnet26t")  # random weights of two seeds
FORWARDED = 0.2
IDEAL = len(NETWORKS) / (1 + FORWARDED)
TARGET = 1.5
OUTSTANDING_ROWS = 128  # four times the largest batch: saturation
POLICIES = ("window", "full")
NUM_IMAGES = 1024


def measure(
    server: MeasuredServer, protocol: str, rows: int, images: NDArray[np.uint8], blocks: int, seconds: float
) -> dict[str, Any]:
    contenders = {policy: _contender(server, protocol, rows, images, policy) for policy in POLICIES}
    clients = OUTSTANDING_ROWS // rows
    results = alternate(contenders, protocol, rows=rows, clients=clients, blocks=blocks, seconds=seconds)
    ratio = throughput_ratio(results["window"], results["full"])
    return {
        "protocol": protocol,
        "rows_per_request": rows,
        "clients": clients,
        **{policy: result.summary() for policy, result in results.items()},
        "window_over_full": ratio,
        "share_of_ideal": round(ratio["median"] / IDEAL, 3),
        "meets_target": ratio["median"] >= TARGET,
    }


def _contender(
    server: MeasuredServer, protocol: str, rows: int, images: NDArray[np.uint8], policy: str
) -> Contender:
    parts = [images[piece] for piece in pieces(len(images), rows)]
    if protocol == "http":
        requests = [http_request(server.http, "real", part, policy=policy) for part in parts]
    else:
        requests = [grpc_request("real", part, policy=policy) for part in parts]
    address = server.http if protocol == "http" else server.grpc
    return Contender(address=address, requests=requests, cpu_s=server.cpu_s)


def forwarded_share(server: MeasuredServer, images: NDArray[np.uint8], policy: str) -> float:
    """Rows that the second member executed over those of the first, every image sent once."""
    before = server.executed_rows()
    answers = exchange_all(server.http, _contender(server, "http", 8, images, policy).requests)
    refused = [answer.body[:300] for answer in answers if answer.status != 200]
    assert not refused, refused[0]
    after = server.executed_rows()
    assert after["real-0"] - before["real-0"] == len(images)
    return (after["real-1"] - before["real-1"]) / len(images)


def check_shares(server: MeasuredServer, images: NDArray[np.uint8]) -> dict[str, float]:
    wanted = {"window": FORWARDED, "full": 1.0}
    shares = {policy: forwarded_share(server, images, policy) for policy in POLICIES}
    for policy, share in shares.items():
        assert abs(share - wanted[policy]) < 0.01, f"{policy} forwarded {share:.3f} of the rows"
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each block")
    parser.add_argument("--blocks", type=int, default=4, help="blocks of each policy")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *REAL_IMAGE), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        real_repository(repository, NETWORKS, images, FORWARDED)
        with measured_server(repository) as server:
            shares = check_shares(server, images)
            print({"rows of the second member, by its statistics": shares}, flush=True)
            measured = []
            for protocol, rows in itertools.product(("http", "grpc"), (8, 1)):
                measured.append(measure(server, protocol, rows, images, options.blocks, options.seconds))
                print(measured[-1], flush=True)
    write_result(
        options.out,
        networks=NETWORKS,
        ideal=round(IDEAL, 3),
        target=TARGET,
        executed_by_second_member=shares,
        measured=measured,
    )


if __name__ == "__main__":
    main()
