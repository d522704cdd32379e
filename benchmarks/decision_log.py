"""What the decision log costs: the same server with and without it, in blocks that take turns.

    python -m benchmarks.decision_log

Members that do nothing, so that the router's own work is all there is, over HTTP at saturation. A file is
written every second, sixty times as often as by default, so that every block pays for some. In the end the
log must hold every row that the server answered. Prints each measurement as it comes and writes
benchmarks/results/decision_log.json.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet

from benchmarks.closed_loop import http_request
from benchmarks.repositories import NOOP_IMAGE, noop_repository
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server
from benchmarks.side_by_side import Blocks, Contender, alternate, throughput_ratio

RESULT = Path(__file__).parent / "results" / "decision_log.json"
FILE_S = 1.0
CLIENTS = {1: 32, 64: 8}
"""By rows a request."""


def measure(servers: Mapping[str, MeasuredServer], rows: int, blocks: int, seconds: float) -> dict[str, Any]:
    images = np.zeros((rows, *NOOP_IMAGE), np.uint8)
    contenders = {
        name: Contender(
            address=server.http, requests=[http_request(server.http, "noop", images)], cpu_s=server.cpu_s
        )
        for name, server in servers.items()
    }
    clients = CLIENTS[rows]
    results = alternate(contenders, "http", rows=rows, clients=clients, blocks=blocks, seconds=seconds)
    return {
        "rows_per_request": rows,
        "clients": clients,
        **{name: result.summary() for name, result in results.items()},
        "logged_over_plain": throughput_ratio(results["logged"], results["plain"]),
        "cpu_logged_over_plain": round(_cpu_s_a_row(results["logged"]) / _cpu_s_a_row(results["plain"]), 3),
    }


def _cpu_s_a_row(blocks: Blocks) -> float:
    return blocks.cpu_s / blocks.num_rows


def check(folder: Path, answered: int) -> dict[str, int]:
    files = sorted(folder.glob("*.parquet"))
    logged = sum(parquet.read_metadata(file).num_rows for file in files)
    assert logged == answered, f"{answered} rows were answered and {logged} are in the log"
    return {"files": len(files), "rows": logged, "bytes": sum(file.stat().st_size for file in files)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each block")
    parser.add_argument("--blocks", type=int, default=20, help="blocks of each server")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        repository, folder = Path(temporary) / "repository", Path(temporary) / "log"
        noop_repository(repository)
        flags = ("--decision-log", str(folder), "--decision-log-seconds", str(FILE_S))
        with measured_server(repository) as plain, measured_server(repository, *flags) as logged:
            servers = {"plain": plain, "logged": logged}
            measured = []
            for rows in CLIENTS:
                measured.append(measure(servers, rows, options.blocks, options.seconds))
                print(measured[-1], flush=True)
            answered = logged.executed_rows()["noop"]
        written = check(folder, answered)
        print(written, flush=True)
    write_result(options.out, measured=measured, log=written)


if __name__ == "__main__":
    main()
