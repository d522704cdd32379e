"""Requests under pressure are served in a cheaper gear before any is refused."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

import numpy as np
import pytest

from cascade.policy import Policy
from cascade.runtime import ServiceCurve
from serving.answers import respond
from serving.config import Limits, SchedulerConfig
from serving.engine import Engine
from serving.errors import Overloaded
from serving.messages import InferRequest
from serving.registry import Registry
from serving.scheduling.curves import LearntCurve
from serving.scheduling.flows import Flow
from tests.serving.scheduling.test_scheduler import cascade
from tests.serving.test_engine import Gatekeeper

Scenario = Callable[[Engine, Gatekeeper], Coroutine[None, None, None]]


def request(num_rows: int, **parameters: bool | int | str) -> InferRequest:
    array = np.ones((num_rows, 1), np.float32)
    return InferRequest("c", "", {"x": array}, {"x": "FP32"}, parameters=parameters)


def run(scenario: Scenario) -> None:
    """Two stages, gears `full` and `first`; a row takes 0.1 s in each, and the one worker waits until it is
    told."""

    async def whole() -> None:
        member = Gatekeeper()
        member.curve = LearntCurve(ServiceCurve(0.1, 0.0), 32)
        served = cascade(("a",), ("b",), members=[member, member])
        policies = {**served.cascade.policies, "first": Policy(kind="first", num_stages=2)}
        described = replace(served.cascade, policies=policies, gears=("full", "first"))
        config = SchedulerConfig(num_workers=1, max_queue_s=2.0)
        engine = Engine(Registry({"c": replace(served, cascade=described)}), config, Limits())
        engine.start()
        try:
            await scenario(engine, member)
        finally:
            member.may_run.set()
            engine.stop()

    asyncio.run(asyncio.wait_for(whole(), 20))


async def waiting(engine: Engine, asked: InferRequest) -> "asyncio.Task[dict[str, object]]":
    async def answered() -> dict[str, object]:
        return respond(asked, await engine.infer(asked)).parameters

    task = asyncio.create_task(answered())
    await asyncio.sleep(0)
    return task


def test_the_answer_says_in_which_gear_it_was_made() -> None:
    async def scenario(engine: Engine, member: Gatekeeper) -> None:
        member.may_run.set()
        job = await engine.infer(request(1))
        told = respond(request(1), job).parameters
        assert (told["policy"], told["gear"], told["degraded"]) == ("full", 0, False)

    run(scenario)


def test_rows_that_would_wait_too_long_travel_in_a_cheaper_gear() -> None:
    async def scenario(engine: Engine, member: Gatekeeper) -> None:
        tasks = [await waiting(engine, request(4)) for _ in range(2)]  # 0.8 s of work, then 0.6 to wait for
        tasks.append(await waiting(engine, request(1)))
        named = await waiting(engine, request(1, policy="full"))
        member.may_run.set()
        told = [await task for task in tasks]
        assert [(each["policy"], each["gear"]) for each in told] == [("full", 0), ("first", 1), ("first", 1)]
        assert "gear" not in await named
        assert (await named)["policy"] == "full"
        assert engine.statistics.cascades["c"].shifts == {"down": 1}
        assert engine.registry.cascades["c"].gear == 1

    run(scenario)


def test_what_no_gear_can_serve_is_refused() -> None:
    async def scenario(engine: Engine, member: Gatekeeper) -> None:
        kept = [await waiting(engine, request(1, policy="full"))]
        kept += [await waiting(engine, request(2, policy="full")) for _ in range(12)]
        with pytest.raises(Overloaded):
            await engine.infer(request(1))
        assert engine.registry.cascades["c"].gear == 1
        assert engine.statistics.cascades["c"].shifts == {"down": 1}
        member.may_run.set()
        await asyncio.gather(*kept, return_exceptions=True)

    run(scenario)


def test_a_flow_begins_with_what_its_policy_is_known_to_forward() -> None:
    flow = Flow("c", 2, 3, 3, (0.4, 0.1))
    assert [flow.share_forwarded(stage) for stage in range(2)] == pytest.approx([0.4, 0.25])
    assert [Flow("c", 2, 3, 3).share_forwarded(stage) for stage in range(2)] == [0.5, 0.5]
    assert Flow("c", 2, 3, 3, (0.0, 0.0)).share_forwarded(1) == 0.0
