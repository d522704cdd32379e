"""The engine with a member that stops when told, so that what happens meanwhile is certain."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.decision import ExitReason
from cascade.policy import Policy
from cascade.runtime import ServiceCurve
from serving.config import Limits, SchedulerConfig
from serving.engine import Engine
from serving.errors import InvalidRequest, MemberFailed, Overloaded, TimedOut, Unavailable
from serving.jobs import Job
from serving.members import EMBEDDED, Member
from serving.messages import InferRequest
from serving.registry import Registry
from serving.scheduling.curves import LearntCurve
from tests.serving.scheduling.test_scheduler import cascade


class Gatekeeper:
    """A member that waits before each batch; rows whose first value is negative make it raise."""

    key = "only/1"
    pool = EMBEDDED
    output_datatype = "FP32"

    def __init__(self) -> None:
        self.curve = LearntCurve(ServiceCurve(1e-3, 1e-3), 32)
        self.may_run = threading.Event()
        self.has_begun = threading.Event()
        self.batches: list[int] = []

    def run(
        self, inputs: Mapping[str, NDArray[np.generic]], deadline_s: float = math.inf
    ) -> NDArray[np.floating]:
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
    served = cascade(("only",), members=[member])
    engine = Engine(Registry({"c": served}), SchedulerConfig(num_workers=1), Limits())
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
        assert (statistics.num_works, statistics.spent.queue_s > 0) == (4, True)
        assert 0 < statistics.spent.infer_s < statistics.spent.compute_s
        counters = engine.statistics.cascades["c"]
        assert (counters.rows, counters.success.count, len(counters.without_answer)) == (7, 4, 0)
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
        assert engine.statistics.cascades["c"].without_answer["failed"].count == 1
        counters = engine.statistics.members["only/1"]
        assert (counters.failed.count, counters.num_works, counters.rows) == (1, 2, 2)

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


def with_terms(asked: InferRequest, **parameters: bool | int | str) -> InferRequest:
    return replace(asked, parameters=parameters)


def two_stages(first: Member, second: Member) -> Engine:
    served = cascade(("first",), ("second",), members=[first, second])
    engine = Engine(Registry({"c": served}), SchedulerConfig(num_workers=2), Limits())
    engine.start()
    return engine


async def at_the_second_stage(engine: Engine, **parameters: bool | int | str) -> tuple[Job, Gatekeeper]:
    """A request of two rows that is through with its first member, and hangs in its second."""
    first, second = Gatekeeper(), Gatekeeper()
    first.may_run.set()
    engine.registry = Registry({"c": cascade(("first",), ("second",), members=[first, second])})
    waiting = asyncio.create_task(engine.infer(with_terms(request(3.0, 0.5), **parameters)))
    await begun(second)
    try:
        return await waiting, second
    finally:
        second.may_run.set()


def run_in_engine(scenario: Callable[[Engine], Coroutine[None, None, None]]) -> None:
    async def whole() -> None:
        engine = two_stages(Gatekeeper(), Gatekeeper())
        try:
            await scenario(engine)
        finally:
            engine.stop()

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_at_its_deadline_a_request_is_answered_with_the_best_so_far() -> None:
    async def scenario(engine: Engine) -> None:
        job, _ = await at_the_second_stage(engine, timeout=200_000)
        answer = job.cut_answer
        assert answer is not None
        assert answer.label.tolist() == [0, 0]
        assert answer.exit_stage.tolist() == [1, 1]
        assert [ExitReason(code).wire_name for code in answer.exit_reason] == ["deadline"] * 2
        np.testing.assert_allclose(answer.probabilities[:, 0], [1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-0.5))])
        counters = engine.statistics.cascades["c"]
        assert dict(counters.exits) == {("full", 1, "deadline"): 2}
        assert (counters.degraded, counters.success.count) == (1, 1)

    run_in_engine(scenario)


def test_a_strict_request_gets_an_error_instead() -> None:
    async def scenario(engine: Engine) -> None:
        with pytest.raises(TimedOut):
            await at_the_second_stage(engine, timeout=200_000, strict=True)
        assert engine.statistics.cascades["c"].without_answer["timed_out"].count == 1

    run_in_engine(scenario)


def test_the_transports_deadline_counts_as_the_requests_own() -> None:
    async def scenario(engine: Engine) -> None:
        held = Gatekeeper()
        engine.registry = Registry({"c": cascade(("only",), members=[held])})
        asked = replace(request(1.0), deadline_s=time.monotonic() + 0.2)
        with pytest.raises(TimedOut, match="the deadline passed before the answer was there"):
            await engine.infer(asked)
        held.may_run.set()

    run_in_engine(scenario)


def test_rows_that_have_an_answer_keep_it_when_others_are_cut_short() -> None:
    """A policy that lets the sure row go after the first stage; the other hangs in the second."""
    policy = Policy(kind="threshold", num_stages=2, thresholds=(0.9,))

    async def scenario(engine: Engine) -> None:
        first, second = Gatekeeper(), Gatekeeper()
        first.may_run.set()
        served = cascade(("first",), ("second",), members=[first, second])
        described = replace(served.cascade, policies={"t": policy}, default_policy="t")
        engine.registry = Registry({"c": replace(served, cascade=described)})
        job = await engine.infer(with_terms(request(9.0, 0.5), timeout=200_000))
        second.may_run.set()
        assert job.cut_answer is not None
        reasons = [ExitReason(code).wire_name for code in job.cut_answer.exit_reason]
        assert reasons == ["threshold", "deadline"]
        assert job.cut_answer.label.tolist() == [0, 0]
        assert job.cut_answer.score.tolist() == pytest.approx([1 / (1 + np.exp(-9)), 1 / (1 + np.exp(-0.5))])

    run_in_engine(scenario)


def test_a_request_too_much_is_refused_at_once_and_counted() -> None:
    async def scenario(engine: Engine) -> None:
        held = Gatekeeper()
        held.curve = LearntCurve(ServiceCurve(3.0, 0.0), 32)
        engine.registry = Registry({"c": cascade(("only",), members=[held])})
        kept = asyncio.create_task(engine.infer(request(*[1.0] * 8)))
        await begun(held)
        with pytest.raises(Overloaded, match="s of work are queued; at most 10 s may be"):
            await engine.infer(request(1.0))
        assert engine.statistics.cascades["c"].without_answer["shed"].count == 1
        held.may_run.set()
        assert (await kept).num_rows == 8
        await engine.infer(request(1.0))

    run_in_engine(scenario)


BAD_TERMS = [
    ({"timeout": -1}, "'timeout' must be a whole number from 0, got -1"),
    ({"timeout": True}, "'timeout' must be a whole number"),
    ({"timeout": 1.5}, "'timeout' must be a whole number"),
    ({"priority": 4}, "'priority' must be a whole number from 0 to 3, got 4"),
    ({"priority": "1"}, "'priority' must be a whole number"),
    ({"strict": 1}, "'strict' must be true or false, got 1"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD_TERMS)
def test_terms_that_make_no_sense_are_refused_by_name(parameters: dict, message: str) -> None:
    async def scenario(engine: Engine) -> None:
        with pytest.raises(InvalidRequest, match=message):
            await engine.infer(with_terms(request(1.0), **parameters))

    run_in_engine(scenario)


def test_stages_beyond_the_last_are_the_last(member: Gatekeeper) -> None:
    """What is learnt of a policy's rows is not divided by numbers that clients make up."""

    async def scenario(engine: Engine) -> None:
        held = Gatekeeper()
        held.may_run.set()
        served = cascade(("only",), members=[held])
        engine.registry = Registry({"c": served})
        for stages in (1, 2, 10**9):
            await engine.infer(with_terms(request(1.0), max_stages=stages))
        assert list(served._flows) == [("full", None, 2)]

    run_in_engine(scenario)


def test_a_requests_times_are_its_rows_mean_and_no_longer_than_the_request() -> None:
    """Two hundred in batches of 32: the waits of the batches add up to more than the whole took."""

    async def scenario(engine: Engine) -> None:
        held = Gatekeeper()
        engine.registry = Registry({"c": cascade(("only",), members=[held])})
        waiting = asyncio.create_task(engine.infer(request(*[1.0] * 200)))
        await begun(held)
        await asyncio.sleep(0.05)
        held.may_run.set()
        await waiting
        counters = engine.statistics.cascades["c"]
        whole_s = counters.success.ns / 1e9
        assert 0.02 < counters.spent.queue_s + counters.spent.compute_s <= whole_s

    run_in_engine(scenario)
