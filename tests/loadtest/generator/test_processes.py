import asyncio
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from loadtest.case import Case
from loadtest.config import CapacityConfig
from loadtest.errors import GeneratorError
from loadtest.generator.processes import _shares, generator_processes
from loadtest.progress import Progress
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import constant_rate
from loadtest.traffic.samples import Samples
from loadtest.traffic.schedule import draw_schedule
from loadtest.wire.options import WireOptions
from loadtest.wire.served import served_cascade
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_server import TinyServer, tiny_cascade

SAMPLES = Samples(inputs=(NamedTensor("x", "FP32", np.array([[0.9, 1.0], [0.45, 0.0]], np.float32)),))
LOAD = LoadConfig(rate=constant_rate(100.0), duration_s=0.5, arrivals="constant")


def case(server: TinyServer) -> Case:
    return Case(
        target=parse_target(server.http_url),
        served=served_cascade(tiny_cascade()),
        policy="window",
        contender="window",
        over="http",
    )


def test_slots_are_shared_out_whole() -> None:
    assert _shares(16, 3) == [6, 5, 5]
    assert sum(_shares(256, 7)) == 256


def test_shares_of_a_schedule_come_back_in_its_order(server: TinyServer) -> None:
    """One request alone leaves two of three processes nothing to do."""

    async def run() -> None:
        async with generator_processes(3, [case(server)], SAMPLES, WireOptions()) as generator:
            for load in (LOAD, LoadConfig(rate=constant_rate(1.0), duration_s=1.0, arrivals="constant")):
                schedule = draw_schedule(load, 2)
                prepared = await generator.prepare(case(server), schedule, load, 0)
                with Progress().load("load", len(schedule)) as watch:
                    samples = (await prepared.run(watch)).samples
                assert samples.requests.intended_s.tolist() == schedule.intended_s.tolist()
                assert samples.rows.label.tolist() == (1 - schedule.rows).tolist()
            capacity = CapacityConfig(seconds=0.3, in_flight=4, rows_per_request=2)
            saturated = await (await generator.prepare_saturation(case(server), capacity, 0)).run(
                lambda _: None
            )
            assert saturated.counts.num_rows > 0
            assert saturated.counts.num_errors == 0

    asyncio.run(run())


def test_a_process_that_dies_is_told_and_none_is_left(server: TinyServer) -> None:
    async def run() -> list[int]:
        before = _children()
        async with generator_processes(2, [case(server)], SAMPLES, WireOptions()) as generator:
            started = sorted(_children() - before)
            load = LoadConfig(rate=constant_rate(10.0), duration_s=30.0)
            prepared = await generator.prepare(case(server), draw_schedule(load, 2), load, 0)
            with Progress().load("load", 300) as watch:
                running = asyncio.create_task(prepared.run(watch))
                await asyncio.sleep(0.5)
                os.kill(_generator(started), signal.SIGKILL)
                await running
        return started

    began = time.monotonic()
    with pytest.raises(GeneratorError, match="a generator process ended"):
        asyncio.run(run())
    assert time.monotonic() - began < 20


def _children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def _generator(pids: list[int]) -> int:
    """The first generator, and not the tracker of resources that comes with it."""
    for pid in pids:
        if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    raise AssertionError(pids)
