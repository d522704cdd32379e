import asyncio

import numpy as np

from loadtest.config import CapacityConfig
from loadtest.generator.closed_loop import ClosedLoopRun, added, run_closed_loop
from loadtest.wire.client import Ask
from loadtest.wire.clients import open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.served import LEAN_OUTPUTS
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_server import TinyServer

CAPACITY = CapacityConfig(seconds=0.5, in_flight=4, rows_per_request=2)


async def saturate(server: TinyServer) -> ClosedLoopRun:
    rows = NamedTensor("x", "FP32", np.array([[0.9, 1.0], [0.45, 0.0]], np.float32))
    async with open_clients([parse_target(server.http_url)], ["tiny"], WireOptions()) as clients:
        (client,) = clients.values()
        requests = [client.encode(Ask(inputs=(rows,), outputs=LEAN_OUTPUTS, policy="window"))]
        return await run_closed_loop(client, requests, CAPACITY, lambda _: None)


def test_rows_are_counted_within_the_time(server: TinyServer) -> None:
    run = asyncio.run(saturate(server))
    assert run.num_errors == 0
    assert run.seconds == 0.45
    assert run.num_rows_in_all == server.executed["tiny"]
    assert 0 < run.num_rows < run.num_rows_in_all
    assert run.rows_per_s == run.num_rows / 0.45


def test_refusals_are_counted_and_are_no_rows(server: TinyServer) -> None:
    server.refuse_every = 2
    run = asyncio.run(saturate(server))
    assert run.num_errors == server.num_requests // 2
    assert run.num_rows_in_all == server.executed["tiny"]


def test_processes_side_by_side_add_up() -> None:
    one = ClosedLoopRun(num_rows=10, num_rows_in_all=12, num_errors=1, seconds=2.0)
    both = added([one, ClosedLoopRun(num_rows=30, num_rows_in_all=31, num_errors=0, seconds=2.0)])
    assert (both.num_rows, both.num_rows_in_all, both.num_errors, both.rows_per_s) == (40, 43, 1, 20.0)
