import asyncio
from dataclasses import replace

import numpy as np
import pytest

from loadtest.case import Case
from loadtest.errors import CensusError
from loadtest.measure.census import Census, take_census
from loadtest.traffic.samples import Samples
from loadtest.wire.clients import fetch_served, open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_server import TinyServer

X = np.stack([np.full(10, 0.9, np.float32), np.arange(10, dtype=np.float32) % 2], axis=1)
SAMPLES = Samples(inputs=(NamedTensor("x", "FP32", X),))


def census(server: TinyServer, max_request_rows: int | None = None) -> Census:
    """Of the plain model `tiny-0`."""

    async def taken() -> Census:
        target = parse_target(server.http_url)
        async with open_clients([target], ["tiny-0"], WireOptions()) as clients:
            client = clients[target, "tiny-0"]
            served = replace(await fetch_served(client), max_request_rows=max_request_rows)
            case = Case(target=target, served=served, policy=None, contender="tiny-0", over="http")
            return await take_census(client, case, SAMPLES, SAMPLES, lambda _: None)

    return asyncio.run(taken())


def test_answers_stand_in_the_order_of_the_samples(server: TinyServer) -> None:
    seen = census(server)
    assert seen.rows.label.tolist() == [0, 1] * 5
    assert seen.ood is not None and seen.ood.label.tolist() == [0, 1] * 5
    assert server.num_requests == 2
    # The server's count is of the samples alone, without those out of distribution.
    assert seen.usage.statistics is not None
    assert seen.usage.statistics["tiny-0"].rows == 10


def test_no_request_has_more_rows_than_the_model_takes(server: TinyServer) -> None:
    assert census(server, max_request_rows=3).rows.label.tolist() == [0, 1] * 5
    assert server.num_requests == 2 * 4


def test_a_row_without_an_answer_ends_it(server: TinyServer) -> None:
    server.refuse_every = 2
    with pytest.raises(CensusError, match="census of tiny-0 over http: a request failed"):
        census(server, max_request_rows=3)
