"""Whether a server that has answered a great many requests, a tenth of them malformed, still holds no more.

    python -m benchmarks.leak

Half of the requests go over HTTP and half over gRPC, side by side, to small linear members. Every 5,000 the
clients pause and the server's resident memory, open descriptors and threads are read. After the first fifth
descriptors and threads must not change, and memory must not grow by BOUND_BYTES a request.
The same check must find the leaks of benchmarks.leaking_server, or it is worth nothing.
Prints each reading and writes benchmarks/results/leak.json; exit code 1 where the server leaks, or the
control is not found leaking.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import uvloop

from benchmarks.closed_loop import METHOD, HttpConnection, connect
from benchmarks.mixed_requests import Malformed, grpc_good, grpc_malformed, http_good, http_malformed
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, Resources, measured_server
from tests.repositories import Repository, make_repository

RESULT = Path(__file__).parent / "results" / "leak.json"
CONTROL = "benchmarks.leaking_server"
CLIENTS = 8  # of each protocol
MALFORMED_EVERY = 10
ROUNDS = 40
WARM_UP = 0.2
PAUSE_S = 0.2
SETTLE_S = 5.0
SENT_S = 0.001  # so that the server has it, and has mostly not answered yet

BOUND_BYTES = 10.0
"""A request. The least that Python keeps of one is an empty container or a text, 50 to 70 bytes: over the
bound even if only the requests of one protocol leave it. A leak in a single kind of malformed ones is found
from 2,600 bytes each (HTTP, one request in 260) or 1,400 (gRPC, one in 140), about what an exception weighs
that holds its traceback and the request. In short runs the allocator's own steps are over the bound too."""

Send = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Reading:
    requests: int
    resources: Resources


class HttpSide:
    """One client; `outcomes` counts what came of each kind of request."""

    def __init__(
        self, address: str, good: Sequence[bytes], malformed: Mapping[str, Malformed], outcomes: Counter[str]
    ) -> None:
        self._address, self._good, self._malformed = address, good, list(malformed.items())
        self._outcomes = outcomes
        self._connection: HttpConnection | None = None

    async def send(self, number: int) -> None:
        if self._connection is None or not self._connection.is_open:
            self._connection = await connect(self._address)
        if number % MALFORMED_EVERY:
            answer = await self._connection.exchange(self._good[number % len(self._good)])
            self._outcomes[f"http good: {answer.status}"] += 1
        else:
            kind, malformed = _turn(self._malformed, number)
            outcome = await self._send_malformed(self._connection, malformed, number)
            self._outcomes[f"http {kind}: {outcome}"] += 1

    async def _send_malformed(self, connection: HttpConnection, malformed: Malformed, number: int) -> str:
        if malformed.is_abandoned:
            connection.write(malformed.make(number))
            await asyncio.sleep(SENT_S)
            self.close()
            return "abandoned"
        status = "closed"
        with suppress(ConnectionResetError):
            status = str((await connection.exchange(malformed.make(number))).status)
        if malformed.is_closing:
            self.close()
        return status

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class GrpcSide:
    """All clients over one channel."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        good: Sequence[bytes],
        malformed: Mapping[str, Malformed],
        outcomes: Counter[str],
    ) -> None:
        self._call = channel.unary_unary(METHOD)
        self._good, self._malformed, self._outcomes = good, list(malformed.items()), outcomes

    async def send(self, number: int) -> None:
        if number % MALFORMED_EVERY:
            await self._call(self._good[number % len(self._good)])
            self._outcomes["grpc good: OK"] += 1
            return
        kind, malformed = _turn(self._malformed, number)
        call = self._call(malformed.make(number))
        outcome = "OK"
        try:
            if malformed.is_abandoned:
                await asyncio.sleep(SENT_S)
                call.cancel()
            await call
        except grpc.aio.AioRpcError as error:
            outcome = error.code().name
        except asyncio.CancelledError:
            outcome = "CANCELLED"
        self._outcomes[f"grpc {kind}: {outcome}"] += 1


def _turn(malformed: Sequence[tuple[str, Malformed]], number: int) -> tuple[str, Malformed]:
    return malformed[number // MALFORMED_EVERY % len(malformed)]


async def read_along(
    server: MeasuredServer, repository: Repository, num_requests: int, outcomes: Counter[str]
) -> list[Reading]:
    name, policies = repository.cascade.name, list(repository.cascade.policies)
    images = repository.test.image
    http = http_good(server.http, name, policies, images), http_malformed(server.http, name, images)
    each = num_requests // ROUNDS // 2
    readings = []
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        side = GrpcSide(channel, grpc_good(name, policies, images), grpc_malformed(name, images), outcomes)
        sides = [HttpSide(server.http, *http, outcomes) for _ in range(CLIENTS)]
        for turn in range(1, ROUNDS + 1):
            numbers = {key: iter(range((turn - 1) * each, turn * each)) for key in ("http", "grpc")}
            async with asyncio.TaskGroup() as group:
                for client in sides:
                    group.create_task(_send_all(client.send, numbers["http"]))
                    group.create_task(_send_all(side.send, numbers["grpc"]))
            readings.append(Reading(turn * each * 2, await settled(server)))
            print(asdict(readings[-1]), flush=True)
        for client in sides:
            client.close()
    return readings


async def _send_all(send: Send, numbers: Iterator[int]) -> None:
    for number in numbers:
        await send(number)


async def settled(server: MeasuredServer) -> Resources:
    """Once connections that clients left are closed on the server's side too."""
    before = server.resources()
    for _ in range(round(SETTLE_S / PAUSE_S)):
        await asyncio.sleep(PAUSE_S)
        now = server.resources()
        if (now.descriptors, now.threads) == (before.descriptors, before.threads):
            return now
        before = now
    return before


def slope(readings: Sequence[Reading]) -> float:
    """Bytes of resident memory a request: the median over all pairs of readings (Theil and Sen), which a
    step or an outlier moves little."""
    pairs = itertools.combinations(readings, 2)
    return float(
        np.median(
            [(b.resources.rss_bytes - a.resources.rss_bytes) / (b.requests - a.requests) for a, b in pairs]
        )
    )


def judge(readings: Sequence[Reading]) -> dict[str, Any]:
    """What is found leaking after the warm-up."""
    warm = readings[round(len(readings) * WARM_UP) :]
    descriptors = sorted({reading.resources.descriptors for reading in warm})
    threads = sorted({reading.resources.threads for reading in warm})
    bytes_a_request = slope(warm)
    found = {
        "memory": bytes_a_request > BOUND_BYTES,
        "descriptors": len(descriptors) > 1,
        "threads": len(threads) > 1,
    }
    return {
        "requests": readings[-1].requests,
        "rss_mib": [round(warm[k].resources.rss_bytes / 2**20, 2) for k in (0, -1)],
        "rss_bytes_a_request": round(bytes_a_request, 2),
        "bound_bytes_a_request": BOUND_BYTES,
        "descriptors": descriptors,
        "threads": threads,
        "leaks": [what for what, is_found in found.items() if is_found],
    }


def measure(folder: Path, num_requests: int, module: str = "serving") -> dict[str, Any]:
    repository = make_repository(folder)
    outcomes: Counter[str] = Counter()
    with (
        measured_server(repository.path, module=module) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        readings = runner.run(read_along(server, repository, num_requests, outcomes))
    verdict = judge(readings)
    print({module: verdict}, flush=True)
    return {
        **verdict,
        "outcomes": dict(sorted(outcomes.items())),
        "readings": [{"requests": reading.requests, **asdict(reading.resources)} for reading in readings],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--control-requests", type=int, default=40_000)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = measure(Path(folder) / "server", options.requests)
        control = measure(Path(folder) / "control", options.control_requests, CONTROL)
    write_result(
        options.out,
        server=server,
        control=control,
    )
    is_control_found = {"memory", "descriptors"} <= set(control["leaks"])
    if not is_control_found:
        print("the control's leaks were not found, so the check is worth nothing", flush=True)
    return int(bool(server["leaks"]) or not is_control_found)


if __name__ == "__main__":
    sys.exit(main())
