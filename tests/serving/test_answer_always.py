"""Members that fail, hang and come back, and requests that get an answer all the same."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Coroutine, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import generate_latest

from cascade.decision import ExitReason
from cascade.runtime import ServiceCurve
from serving.config import BreakerConfig, Limits, SchedulerConfig
from serving.engine import Engine
from serving.errors import MemberDown, MemberFailed, RowsRefused
from serving.jobs import Job
from serving.messages import InferRequest
from serving.prometheus import metrics_registry
from serving.registry import Registry
from serving.scheduling.breaker import State
from serving.scheduling.curves import LearntCurve
from tests.serving.scheduling.test_scheduler import cascade

RETRY_S = 0.2
BREAKER = BreakerConfig(slow_call_s=0.3, retry_s=RETRY_S)
Outputs = NDArray[np.floating]


class Fallible:
    """Says that rows are of class 0 with a logit of their value, unless it is told to fail."""

    output_datatype = "FP32"

    def __init__(self, name: str) -> None:
        self.key = self.pool = f"{name}/1"
        self.curve = LearntCurve(ServiceCurve(1e-4, 1e-4), 32)
        self.error: Exception | None = None
        self.may_run = threading.Event()
        self.may_run.set()
        self.heeds_deadlines = True
        self.num_runs = self.num_given_up = 0
        self.seen: list[list[float]] = []
        """The batches that it has run."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]], deadline_s: float = math.inf) -> Outputs:
        self.num_runs += 1
        if self.error:
            raise self.error
        if not self.may_run.wait(min(10.0, deadline_s - time.monotonic()) if self.heeds_deadlines else 10.0):
            self.num_given_up += 1
            raise MemberDown("too late")
        values = np.asarray(inputs["x"], np.float32)[:, 0]
        self.seen.append(values.tolist())
        return np.stack([values, np.zeros_like(values)], axis=1)


class Setting:
    """An engine with a cascade `c` of two members, and workers of each one's own."""

    def __init__(self) -> None:
        self.first, self.second = Fallible("first"), Fallible("second")
        served = cascade(("first",), ("second",), members=[self.first, self.second])
        config = SchedulerConfig(num_workers=4)
        self.engine = Engine(Registry({"c": served}), config, Limits(), breaker=BREAKER)
        self.engine.start()

    async def infer(self, *values: float, **parameters: bool | int | str) -> Job:
        array = np.array([[value] for value in values], np.float32)
        return await self.engine.infer(
            InferRequest("c", "", {"x": array}, {"x": "FP32"}, parameters=parameters)
        )

    def state(self, member: Fallible) -> State:
        return self.engine.breakers.states()[member.key].state


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


def run(scenario: Callable[[Setting], Coroutine[None, None, None]]) -> None:
    async def whole() -> None:
        setting = Setting()
        try:
            await scenario(setting)
        finally:
            setting.first.may_run.set()
            setting.second.may_run.set()
            setting.engine.stop()

    asyncio.run(asyncio.wait_for(whole(), 20))


def reasons(job: Job) -> list[str]:
    return [ExitReason(code).wire_name for code in job.answer.exit_reason]


def test_rows_whose_second_member_fails_are_answered_by_the_first() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.error = MemberFailed("broken")
        job = await setting.infer(3.0, -3.0)
        assert (reasons(job), job.is_degraded) == (["member_failed"] * 2, True)
        assert (job.answer.label.tolist(), job.answer.exit_stage.tolist()) == ([0, 1], [1, 1])
        counters = setting.engine.statistics.cascades["c"]
        assert dict(counters.exits) == {("full", 1, "member_failed"): 2}
        assert (counters.degraded, counters.success.count, len(counters.without_answer)) == (1, 1, 0)
        members = setting.engine.statistics.members
        assert (members["first/1"].rows, members["second/1"].rows) == (2, 0)
        assert members["second/1"].failed.count == 1

    run(scenario)


def test_rows_whose_first_member_fails_are_answered_by_the_second() -> None:
    async def scenario(setting: Setting) -> None:
        setting.first.error = MemberFailed("broken")
        job = await setting.infer(3.0, max_stages=1)
        assert (reasons(job), job.answer.exit_stage.tolist()) == (["member_failed"], [2])

    run(scenario)


def test_a_bug_in_what_runs_a_member_is_as_if_the_member_failed() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.error = ZeroDivisionError("a bug")
        assert reasons(await setting.infer(3.0)) == ["member_failed"]
        setting.first.error = ZeroDivisionError("another")
        with pytest.raises(MemberFailed, match=r"^internal error of member 'second/1': ZeroDivisionError$"):
            await setting.infer(3.0)

    run(scenario)


def test_a_strict_request_is_told() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.error = MemberFailed("broken")
        with pytest.raises(MemberFailed, match="broken"):
            await setting.infer(3.0, strict=True)
        assert setting.engine.active_requests == 0

    run(scenario)


def test_without_any_member_there_is_an_error() -> None:
    async def scenario(setting: Setting) -> None:
        setting.first.error, setting.second.error = MemberFailed("one"), MemberDown("two")
        with pytest.raises(MemberDown, match="two"):
            await setting.infer(3.0)
        assert setting.engine.statistics.cascades["c"].without_answer["failed"].count == 1

    run(scenario)


def test_a_member_that_fails_is_soon_asked_no_more_and_taken_back() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.error = MemberDown("gone")
        for _ in range(10):
            assert reasons(await setting.infer(3.0)) == ["member_failed"]
        assert (setting.second.num_runs, setting.state(setting.second)) == (3, State.OPEN)
        setting.second.error = None
        await asyncio.sleep(RETRY_S)
        assert reasons(await setting.infer(3.0)) == ["last"]
        assert setting.state(setting.second) is State.CLOSED
        assert setting.state(setting.first) is State.CLOSED

    run(scenario)


def test_rows_refused_break_nothing() -> None:
    async def scenario(setting: Setting) -> None:
        setting.first.error = RowsRefused("no such token")
        for _ in range(10):
            with pytest.raises(RowsRefused):
                await setting.infer(3.0)
        assert (setting.first.num_runs, setting.state(setting.first)) == (10, State.CLOSED)

    run(scenario)


def test_a_member_that_is_down_is_not_asked_for_each_half_of_a_batch() -> None:
    async def scenario(setting: Setting) -> None:
        setting.first.may_run.clear()
        held = [asyncio.create_task(setting.infer(3.0)) for _ in range(4)]
        await asyncio.sleep(0.05)
        more = [asyncio.create_task(setting.infer(3.0)) for _ in range(16)]
        await asyncio.sleep(0)
        setting.second.error = MemberDown("gone")
        setting.first.may_run.set()
        jobs = await asyncio.gather(*held, *more)
        assert {reason for job in jobs for reason in reasons(job)} == {"member_failed"}
        assert setting.second.num_runs <= 5

    run(scenario)


def test_a_member_that_hangs_is_left_out_before_it_answers_and_those_that_wait_for_it_are_answered() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.may_run.clear()
        hanging = [asyncio.create_task(setting.infer(3.0)) for _ in range(4)]
        await eventually(lambda: setting.second.num_runs == 4)
        waiting = [asyncio.create_task(setting.infer(3.0)) for _ in range(5)]
        jobs = await asyncio.gather(*waiting)  # they never ran
        assert {reason for job in jobs for reason in reasons(job)} == {"member_failed"}
        assert (setting.state(setting.second), setting.second.num_runs) == (State.OPEN, 4)
        assert not any(task.done() for task in hanging)
        setting.second.may_run.set()
        assert [reasons(job) for job in await asyncio.gather(*hanging)] == [["last"]] * 4

    run(scenario)


def test_at_its_deadline_a_request_that_hangs_is_answered() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.may_run.clear()
        job = await setting.infer(3.0, timeout=100_000)
        assert job.cut_answer is not None
        assert (job.is_degraded, job.cut_answer.label.tolist()) == (True, [0])

    run(scenario)


def test_a_call_that_hangs_is_given_up_without_a_deadline_too() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.may_run.clear()
        async with asyncio.timeout(5):
            jobs = await asyncio.gather(*(setting.infer(3.0) for _ in range(4)))
        assert {reason for job in jobs for reason in reasons(job)} == {"member_failed"}
        assert setting.state(setting.second) is State.OPEN

    run(scenario)


def test_requests_in_a_hurry_break_nothing() -> None:
    """Their calls end when they do; a member of which half a second is expected has hardly begun."""

    async def scenario(setting: Setting) -> None:
        setting.second.curve = LearntCurve(ServiceCurve(1e-4, 0.5), 32)
        setting.second.may_run.clear()
        for _ in range(5):
            await setting.infer(3.0, timeout=60_000)
        await eventually(lambda: setting.second.num_given_up == 5)
        assert setting.state(setting.second) is State.CLOSED

    run(scenario)


def test_a_member_that_hangs_is_left_out_by_requests_in_a_hurry_too() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.may_run.clear()
        for _ in range(3):
            await setting.infer(3.0, timeout=60_000)
        await eventually(lambda: setting.state(setting.second) is State.OPEN)

    run(scenario)


def test_a_hung_member_takes_no_workers_of_others() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.may_run.clear()
        hanging = [asyncio.create_task(setting.infer(3.0)) for _ in range(6)]
        await eventually(lambda: setting.second.num_runs == 4)
        assert reasons(await setting.infer(3.0, max_stages=1)) == ["max_stages"]
        setting.second.may_run.set()
        await asyncio.gather(*hanging)

    run(scenario)


def test_a_direct_call_of_a_broken_member_is_an_error() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.error = MemberDown("gone")
        array = np.ones((1, 1), np.float32)
        with pytest.raises(MemberDown):
            await setting.engine.infer(InferRequest("second", "", {"x": array}, {"x": "FP32"}))

    run(scenario)


def test_metrics_tell_who_is_left_out() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.error = MemberDown("gone")
        for _ in range(3):
            await setting.infer(3.0)
        lines = generate_latest(metrics_registry(setting.engine)).decode().splitlines()
        for member, state, value in (
            ("first/1", "closed", "1.0"),
            ("first/1", "open", "0.0"),
            ("second/1", "closed", "0.0"),
            ("second/1", "open", "1.0"),
        ):
            assert f'exitgate_breaker_state{{member="{member}",state="{state}"}} {value}' in lines
        assert 'exitgate_breaker_opened_total{member="second/1"} 1.0' in lines
        assert 'exitgate_degraded_total{model="c"} 3.0' in lines

    run(scenario)


def test_one_hiccup_of_many_in_a_hurry_breaks_nothing() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.may_run.clear()
        await asyncio.gather(*(setting.infer(3.0, timeout=60_000) for _ in range(4)))
        await eventually(lambda: setting.second.num_given_up == 4)
        setting.second.may_run.set()
        assert setting.state(setting.second) is State.CLOSED
        assert reasons(await setting.infer(3.0)) == ["last"]

    run(scenario)


def test_some_bad_requests_in_a_batch_take_the_member_from_no_neighbour() -> None:
    async def scenario(setting: Setting) -> None:
        plain = setting.second.run

        def run_or_raise(inputs: Mapping[str, NDArray[np.generic]], deadline_s: float = math.inf) -> Outputs:
            if (np.asarray(inputs["x"])[:, 0] < 0).any():
                raise MemberFailed("negative")
            return plain(inputs, deadline_s)

        setting.second.run = run_or_raise  # type: ignore[method-assign]
        setting.second.may_run.clear()
        held = [asyncio.create_task(setting.infer(1.0)) for _ in range(4)]
        await eventually(lambda: setting.second.num_runs == 4)
        values = [-1.0 if number in (3, 13, 26) else 1.0 for number in range(32)]
        tasks = [asyncio.create_task(setting.infer(value)) for value in values]
        await eventually(lambda: setting.engine.queued_rows == 32)
        setting.second.may_run.set()
        jobs = await asyncio.gather(*tasks)
        assert [reasons(job) == ["last"] for job in jobs] == [value > 0 for value in values]
        assert setting.state(setting.second) is State.CLOSED
        await asyncio.gather(*held)

    run(scenario)
