"""A server that stands still for 2 of 10 seconds at 50 requests a second: percentiles that are known
beforehand.

A constant load meets the stop with a fifth of its requests, whose latencies run evenly from 2 s down to 0:
so p90 is 1.0 s and p99 1.9 s. Load tests that wait for an answer before they send on say some 10 ms.
"""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from loadtest.case import Case
from loadtest.figures.statistics import Latency, latency
from loadtest.generator.local import LocalGenerator
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import constant_rate
from loadtest.traffic.samples import Samples
from loadtest.traffic.schedule import draw_schedule
from loadtest.wire.clients import fetch_served, open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor
from serving.triton.bundled import QUICK, triton
from tests.conformance.targets import MEMBER, shared_repository
from tests.repositories import Repository
from tests.servers import serving
from tests.triton.installation import require

LOAD = LoadConfig(rate=constant_rate(50.0), duration_s=10.0, arrivals="constant")
STOP_AT_S, STOP_S = 4.0, 2.0
ATTEMPTS = 3


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return shared_repository(tmp_path_factory.mktemp("stopped"))


async def load(url: str, repository: Repository, is_ready: asyncio.Barrier) -> Latency:
    target = parse_target(url)
    samples = Samples(inputs=(NamedTensor("image", "UINT8", repository.test.image),))
    async with open_clients([target], [MEMBER], WireOptions()) as clients:
        served = await fetch_served(clients[target, MEMBER])
        case = Case(target=target, served=served, policy=None, contender=MEMBER, over=target.protocol)
        schedule = draw_schedule(LOAD, len(samples))
        prepared = await LocalGenerator(clients, samples).prepare(case, schedule, LOAD, 0)
        await is_ready.wait()
        run = await prepared.run_at(lambda _, __: None)
    return latency(run.samples.requests.latency_ms)


async def stop(pid: int, is_ready: asyncio.Barrier) -> None:
    await is_ready.wait()
    await asyncio.sleep(STOP_AT_S)
    os.kill(pid, signal.SIGSTOP)
    try:
        # In a thread, so that it ends on time whatever this loop is busy with.
        await asyncio.to_thread(time.sleep, STOP_S)
    finally:
        os.kill(pid, signal.SIGCONT)


async def stopped(url: str, repository: Repository, pid: int) -> Latency:
    """One protocol at a time: what the server has to catch up with after the stop is in the latencies too."""
    is_ready = asyncio.Barrier(2)
    seen, _ = await asyncio.gather(load(url, repository, is_ready), stop(pid, is_ready))
    return seen


def check(url: str, repository: Repository, pid: int) -> None:
    """A machine that is busy beside adds what the server takes to catch up after the stop, which is in the
    latencies by right: so there are three attempts. A load test that measures wrongly is wrong in each, by a
    factor of a hundred."""
    for _ in range(ATTEMPTS):
        seen = asyncio.run(stopped(url, repository, pid))
        if (seen.p90_ms, seen.p99_ms) == pytest.approx((1000, 1900), rel=0.1):
            break
    assert seen.p50_ms < 500
    assert seen.p90_ms == pytest.approx(1000, rel=0.1)
    assert seen.p99_ms == pytest.approx(1900, rel=0.1)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_this_server(repository: Repository, protocol: str) -> None:
    with serving(repository.path) as server:
        url = f"{protocol}://{getattr(server, protocol)}"
        check(url, repository, server.process.pid)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_real_triton(repository: Repository, tmp_path: Path, protocol: str) -> None:
    require()
    flags = ("--model-control-mode=explicit", f"--load-model={MEMBER}")
    with triton(repository.path, QUICK, *flags, log=tmp_path / "triton.log") as server:
        url = f"{protocol}://{getattr(server, protocol)}"
        check(url, repository, server.process.pid)
