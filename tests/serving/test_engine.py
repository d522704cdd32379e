"""The engine with a member that stops when told, so that what happens meanwhile is certain."""

import asyncio
import threading
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.config import Limits, SchedulerConfig
from serving.engine import Engine
from serving.errors import MemberFailed, Unavailable
from serving.messages import InferRequest
from serving.registry import Registry
from tests.serving.test_scheduler import cascade


class Gatekeeper:
    """A member that waits before each batch; rows whose first value is negative make it raise."""

    key = "only/1"

    def __init__(self) -> None:
        self.may_run = threading.Event()
        self.has_begun = threading.Event()
        self.batches: list[int] = []

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.floating]:
        self.has_begun.set()
        assert self.may_run.wait(10)
        values = np.asarray(inputs["x"], np.float32)
        self.batches.append(len(values))
        if (values[:, 0] < 0).any():
            raise MemberFailed("negative")
        return np.stack([values[:, 0], np.zeros(len(values), np.float32)], axis=1)


def request(*values: float) -> InferRequest:
    array = np.array([[value] for value in values], np.float32)
    return InferRequest("c", "", {"x": array}, {"x": "FP32"})


@pytest.fixture
def member() -> Gatekeeper:
    return Gatekeeper()


def engine_with(member: Gatekeeper) -> Engine:
    served = cascade(("only",))
    engine = Engine(Registry({"c": served}, {member.key: member}), SchedulerConfig(num_workers=1), Limits())
    engine.start()
    return engine


async def begun(member: Gatekeeper) -> None:
    assert await asyncio.to_thread(member.has_begun.wait, 10)


def test_requests_that_wait_are_batched_and_counted(member: Gatekeeper) -> None:
    async def scenario() -> None:
        engine = engine_with(member)
        first = asyncio.create_task(engine.infer(request(1.0)))
        await begun(member)
        others = [asyncio.create_task(engine.infer(request(2.0, 3.0))) for _ in range(3)]
        await asyncio.sleep(0)
        assert (engine.active_requests, engine.queued_rows) == (4, 6)
        member.may_run.set()
        jobs = await asyncio.gather(first, *others)
        engine.stop()
        assert member.batches == [1, 6]
        assert [job.answer.label.tolist() for job in jobs] == [[0], [0, 0], [0, 0], [0, 0]]
        statistics = engine.statistics.members["only/1"]
        assert (statistics.rows, statistics.compute.count) == (7, 2)
        assert {size: d.count for size, d in statistics.by_batch_size.items()} == {1: 1, 6: 1}
        assert statistics.queue.ns > 0
        counters = engine.statistics.cascades["c"]
        assert (counters.rows, counters.success.count, counters.failed.count) == (7, 4, 0)
        assert dict(counters.exits) == {("full", 1, "last"): 7}
        assert counters.accepted["full"] == 7
        assert engine.active_requests == 0

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_request_that_fails_alone_fails_alone(member: Gatekeeper) -> None:
    async def scenario() -> None:
        engine = engine_with(member)
        blocker = asyncio.create_task(engine.infer(request(1.0)))
        await begun(member)
        bad = asyncio.create_task(engine.infer(request(-1.0)))
        good = asyncio.create_task(engine.infer(request(5.0)))
        await asyncio.sleep(0)
        member.may_run.set()
        assert (await good).answer.label.tolist() == [0]
        with pytest.raises(MemberFailed, match="negative"):
            await bad
        await blocker
        engine.stop()
        assert member.batches == [1, 2, 1, 1]
        assert engine.statistics.cascades["c"].failed.count == 1
        assert engine.statistics.members["only/1"].failed.count == 1

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_cancelled_request_gives_up_its_waiting_rows_and_nobody_elses(member: Gatekeeper) -> None:
    async def scenario() -> None:
        engine = engine_with(member)
        running = asyncio.create_task(engine.infer(request(1.0)))
        await begun(member)
        given_up = asyncio.create_task(engine.infer(request(2.0, 2.0)))
        kept = asyncio.create_task(engine.infer(request(3.0)))
        await asyncio.sleep(0)
        given_up.cancel()
        running.cancel()
        await asyncio.sleep(0)
        member.may_run.set()
        assert (await kept).answer.label.tolist() == [0]
        engine.stop()
        assert member.batches == [1, 1]
        assert engine.active_requests == 0

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_draining_waits_for_answers_and_refuses_new_requests(member: Gatekeeper) -> None:
    async def scenario() -> None:
        engine = engine_with(member)
        running = asyncio.create_task(engine.infer(request(1.0)))
        await begun(member)
        draining = asyncio.create_task(engine.drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        with pytest.raises(Unavailable, match="stopping"):
            await engine.infer(request(2.0))
        member.may_run.set()
        await draining
        assert (await running).num_rows == 1
        engine.stop()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_abandoned_requests_are_told(member: Gatekeeper) -> None:
    async def scenario() -> None:
        engine = engine_with(member)
        running = asyncio.create_task(engine.infer(request(1.0)))
        await begun(member)
        engine.abandon()
        with pytest.raises(Unavailable, match="stopped before the answer"):
            await running
        member.may_run.set()
        engine.stop()

    asyncio.run(asyncio.wait_for(scenario(), 20))
