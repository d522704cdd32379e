"""Throughput of one router process against two, with the members in the bundled Triton.

    python -m benchmarks.processes          # needs .venv-triton: `make triton`

Servers take turns in blocks, over HTTP and over gRPC, each loaded by `CLIENTS` clients that have a connection
of their own; requests are of one row and through the window. All share one machine with their clients.
"""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import numpy as np
import uvloop

from benchmarks.closed_loop import METHOD, drive, grpc_request, http_request
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server
from tests.conformance.targets import shared_repository

RESULT = Path(__file__).parent / "results" / "processes.json"
CLIENTS = 16
BLOCKS = 5
BLOCK_S = 2.0
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


async def _drive_grpc(address: str, requests: Sequence[bytes]) -> float:
    """Requests a second; `drive` would send all over one connection, which one process has."""
    loop = asyncio.get_running_loop()
    counts = [0] * CLIENTS
    end = loop.time() + BLOCK_S

    async def client(number: int) -> None:
        async with grpc.aio.insecure_channel(address, OWN_CONNECTION) as channel:
            call = channel.unary_unary(METHOD)
            while loop.time() < end:
                await call(requests[(number + CLIENTS * counts[number]) % len(requests)])
                counts[number] += 1

    await asyncio.gather(*map(client, range(CLIENTS)))
    return sum(counts) / BLOCK_S


def block(protocol: str, server: MeasuredServer, images: np.ndarray) -> float:
    """Requests a second."""
    rows = [images[row : row + 1] for row in range(len(images))]
    if protocol == "http":
        requests = [http_request(server.http, "digits", row) for row in rows]
        return drive("http", server.http, requests, 1, CLIENTS, BLOCK_S).rows_per_s
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive_grpc(server.grpc, [grpc_request("digits", row) for row in rows]))


def main() -> None:
    found: dict[str, dict[str, Any]] = {"http": {}, "grpc": {}}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        repository = shared_repository(Path(name) / "repository")
        flags = ("--backend", "triton", "--start-triton")
        servers = {
            number: stack.enter_context(measured_server(repository.path, *flags, "--processes", str(number)))
            for number in (1, 2)
        }
        for protocol, results in found.items():
            rates: dict[int, list[float]] = {1: [], 2: []}
            for turn in range(BLOCKS + 1):  # the first is to warm up
                for number, server in servers.items():
                    rate = block(protocol, server, repository.test.image)
                    if turn:
                        rates[number].append(round(rate, 1))
            ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
            results |= {"requests_per_s": rates, "two_over_one": round(median(ratios), 3)}
            print(protocol, results, flush=True)
    write_result(RESULT, clients=CLIENTS, block_s=BLOCK_S, processors=os.cpu_count(), **found)


if __name__ == "__main__":
    main()
