"""Rows drawn by a coin are run through all members, and agree, disagree, or are missing."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cascade.cascade_file import TensorSpec
from cascade.policy import Policy
from serving.audits import Audit, Auditor
from serving.config import AuditConfig, Limits, SchedulerConfig
from serving.engine import Engine
from serving.errors import MemberFailed, StartupError
from serving.jobs import Job
from serving.messages import InferRequest
from serving.registry import Registry
from serving.scheduling.flows import BACKGROUND_LEVEL
from serving.statistics import Statistics
from tests.serving.scheduling.test_scheduler import cascade
from tests.serving.test_answer_always import Fallible, eventually

ALL = AuditConfig(share=1.0, max_waiting_rows=8, max_wait_s=0.3, gather_rows=1)


UNHEARD_OF = 7.0


class Contrary(Fallible):
    """Outvotes the other member for rows above 2: class 1 by a logit of twice the value. Of one value it says
    nothing."""

    def run(self, inputs, deadline_s=np.inf):
        outputs = super().run(inputs, deadline_s)
        outputs[:, 1] = np.where(outputs[:, 0] > 2, 2 * outputs[:, 0], 0.0)
        outputs[:, 0] = np.where(outputs[:, 0] > 2, 0.0, outputs[:, 0])
        outputs[outputs[:, 1] == 2 * UNHEARD_OF] = np.nan
        return outputs


class Setting:
    """Two members; the default policy asks the first alone."""

    def __init__(self, config: AuditConfig) -> None:
        self.first, self.second = Fallible("first"), Contrary("second")
        served = cascade(("first",), ("second",), members=[self.first, self.second])
        policies = {**served.cascade.policies, "first": Policy(kind="first", num_stages=2)}
        inputs = (TensorSpec(name="x", datatype="FP32", shape=(-1, 1)),)
        described = replace(served.cascade, policies=policies, default_policy="first", inputs=inputs)
        self.decided: list[tuple[Job, Audit | None]] = []
        self.engine = Engine(
            Registry({"c": replace(served, cascade=described)}),
            SchedulerConfig(num_workers=2),
            Limits(),
            audit=config,
            decided=lambda job, audit: self.decided.append((job, audit)),
        )
        self.engine.start()

    async def infer(self, *values: float, **parameters: bool | int | str) -> Job:
        array = np.array([[value] for value in values], np.float32)
        asked = InferRequest("c", "", {"x": array}, {"x": "FP32"}, parameters=parameters, id="mine")
        return await self.engine.infer(asked)

    @property
    def results(self) -> dict[str, int]:
        counted = self.engine.statistics.cascades["c"].audits
        assert {policy for policy, _ in counted} <= {"first"}
        return {result: count for (_, result), count in counted.items()}


def run(scenario: Callable[[Setting], Coroutine[None, None, None]], config: AuditConfig = ALL) -> None:
    async def whole() -> None:
        setting = Setting(config)
        try:
            await scenario(setting)
        finally:
            setting.second.may_run.set()
            setting.engine.stop()

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_agreement_is_with_all_members_together() -> None:
    async def scenario(setting: Setting) -> None:
        job = await setting.infer(1.0, 3.0, -1.0, 5.0)
        assert (job.answer.label.tolist(), setting.decided) == ([0, 0, 1, 0], [])
        await eventually(lambda: bool(setting.decided))
        assert setting.results == {"agreed": 2, "disagreed": 2}
        ((told, audit),) = setting.decided
        assert (told, told.request_id) == (job, "mine")
        assert audit is not None
        assert (audit.rows.tolist(), audit.label.tolist()) == ([0, 1, 2, 3], [0, 1, 1, 1])

    run(scenario)


def test_clients_statistics_know_nothing_of_audits() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.infer(1.0, 3.0)
        await eventually(lambda: bool(setting.decided))
        counters = setting.engine.statistics.cascades["c"]
        assert dict(counters.exits) == {("first", 1, "first"): 2}
        assert (counters.rows, counters.success.count, setting.engine.active_requests) == (2, 1, 0)
        members = setting.engine.statistics.members
        assert (members["first/1"].rows, members["second/1"].rows) == (2, 2)

    run(scenario)


def test_a_coin_draws_the_rows() -> None:
    async def scenario(setting: Setting) -> None:
        for _ in range(20):
            await setting.infer(*[1.0, -1.0, 3.0, 1.0] * 25)
        await eventually(lambda: len(setting.decided) == 20)
        drawn = [audit.rows for _, audit in setting.decided if audit is not None]
        num_drawn = sum(map(len, drawn))
        assert 400 < num_drawn < 600  # 500 expected, 19 the standard deviation
        num_disagreed = sum(int((rows % 4 == 2).sum()) for rows in drawn)
        assert setting.results == {"agreed": num_drawn - num_disagreed, "disagreed": num_disagreed}

    run(scenario, AuditConfig(share=0.25, gather_s=0.01))


@pytest.mark.parametrize("num_rows", [1, 7])
def test_every_row_is_as_likely_to_be_drawn(num_rows: int) -> None:
    """Also the first of a request, and those of small ones: 10% of 2000 at each place, 13 the deviation."""
    auditor = Auditor(AuditConfig(share=0.1), None, Statistics(), None)  # type: ignore[arg-type]
    job: Any = SimpleNamespace(num_rows=num_rows, served=SimpleNamespace(num_stages=2))
    drawn = np.concatenate([auditor.draw(job) for _ in range(2000)])
    counts = np.bincount(drawn, minlength=num_rows)
    assert len(counts) == num_rows
    assert (np.abs(counts - 200) < 75).all()


def test_rows_of_several_requests_are_run_together() -> None:
    async def scenario(setting: Setting) -> None:
        for value in (1.0, 3.0, -1.0):
            await setting.infer(value, 1.0)
        assert (setting.second.num_runs, setting.decided) == (0, [])
        await setting.infer(3.0, 3.0)
        await eventually(lambda: len(setting.decided) == 4)
        assert setting.second.seen == [[1.0, 1.0, 3.0, 1.0, -1.0, 1.0, 3.0, 3.0]]
        labels = [audit.label.tolist() for _, audit in setting.decided if audit is not None]
        assert labels == [[0, 0], [1, 0], [1, 0], [1, 1]]
        assert setting.results == {"agreed": 5, "disagreed": 3}

    run(scenario, AuditConfig(share=1.0, gather_rows=7, gather_s=60))


def test_members_are_not_asked_again_for_rows_that_they_have_seen() -> None:
    """But the last one, which concludes; and all of them where one gave nothing."""

    async def scenario(setting: Setting) -> None:
        await setting.infer(1.0, 3.0)
        await setting.infer(5.0, -1.0, policy="full")
        setting.first.error = MemberFailed("once")
        await setting.infer(4.0)
        setting.first.error = None
        setting.first.seen, setting.second.seen = [], []
        await setting.infer(-2.0, 2.5)
        await eventually(lambda: len(setting.decided) == 4)
        assert setting.first.seen == [[-2.0, 2.5], [4.0]]
        assert sorted(np.concatenate(setting.second.seen)) == [-2.0, -1.0, 1.0, 2.5, 3.0, 4.0, 5.0]
        labels = [audit.label.tolist() for _, audit in setting.decided if audit is not None]
        assert labels == [[0, 1], [1, 1], [1], [1, 1]]
        served = setting.decided[0][0].served
        flow = served.flow("audit", served.whole_ensemble, None, BACKGROUND_LEVEL)
        assert list(flow.rows) == [0, 0]  # nothing is reckoned with any more

    run(scenario, AuditConfig(share=1.0, gather_rows=7, gather_s=60))


def test_few_rows_do_not_wait_for_more_for_ever() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.infer(1.0)
        async with asyncio.timeout(5):
            await eventually(lambda: setting.results == {"agreed": 1})

    run(scenario, AuditConfig(share=1.0, gather_s=0.05))


def test_without_a_share_nothing_is_audited() -> None:
    async def scenario(setting: Setting) -> None:
        job = await setting.infer(1.0)
        assert setting.decided == [(job, None)]
        assert (setting.results, setting.second.num_runs) == ({}, 0)

    run(scenario, AuditConfig())


def test_a_member_that_fails_makes_audits_missing() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.error = MemberFailed("broken")
        await setting.infer(1.0, 3.0)
        await eventually(lambda: bool(setting.decided))
        assert (setting.results, setting.decided[0][1]) == ({"missing": 2}, None)

    run(scenario)


def test_a_request_without_an_answer_has_missing_audits() -> None:
    async def scenario(setting: Setting) -> None:
        setting.first.error = setting.second.error = MemberFailed("broken")
        with pytest.raises(MemberFailed):
            await setting.infer(1.0, 3.0, 4.0)
        assert (setting.results, setting.decided) == ({"missing": 3}, [])

    run(scenario)


def test_audits_that_wait_too_long_or_are_too_many_are_missing() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.may_run.clear()
        await setting.infer(*[1.0] * 6)
        await setting.infer(*[1.0] * 3)
        assert (setting.results, len(setting.decided)) == ({"missing": 1}, 0)
        async with asyncio.timeout(5):
            await eventually(lambda: len(setting.decided) == 2)
        assert setting.results == {"missing": 9}
        setting.second.may_run.set()
        await setting.infer(*[1.0] * 6)
        await eventually(lambda: len(setting.decided) == 3)
        assert setting.results == {"missing": 9, "agreed": 6}

    run(scenario)


def test_requests_go_before_audits() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.may_run.clear()
        for value in (1.0, 1.0, 3.0):  # two take the workers of the second member, the third waits
            await setting.infer(value)
            await eventually(lambda: setting.engine.queued_rows == 0 or setting.second.num_runs == 2)
        asked = asyncio.create_task(setting.infer(-1.0, policy="full"))
        await eventually(lambda: setting.engine.queued_rows == 2)
        setting.second.may_run.set()
        assert (await asked).answer.label.tolist() == [1]
        await eventually(lambda: len(setting.decided) >= 3)
        assert [-1.0, 3.0] in setting.second.seen

    run(scenario)


def test_a_drain_lets_go_of_audits() -> None:
    async def scenario(setting: Setting) -> None:
        setting.second.may_run.clear()
        await setting.infer(1.0, 3.0)
        async with asyncio.timeout(5):
            await setting.engine.drain()
        assert (setting.results, len(setting.decided)) == ({"missing": 2}, 1)

    run(scenario, AuditConfig(share=1.0, gather_rows=1))


def test_a_drain_lets_go_of_those_that_wait_for_more() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.infer(1.0, 3.0)
        await setting.engine.drain()
        assert (setting.results, len(setting.decided)) == ({"missing": 2}, 1)

    run(scenario, AuditConfig(share=1.0, gather_s=60))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"share": 1.5}, "share is 1.5; it must be from 0 to 1"),
        ({"max_waiting_rows": 0}, "max_waiting_rows is 0"),
        ({"max_wait_s": 0}, "max_wait_s is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(setting: dict, message: str) -> None:
    with pytest.raises(StartupError, match=message):
        AuditConfig(**setting)


def test_a_request_that_is_answered_while_the_server_stops_is_told_of_all_the_same() -> None:
    async def scenario(setting: Setting) -> None:
        setting.first.may_run.clear()
        waiting = asyncio.create_task(setting.infer(1.0, 3.0))
        await eventually(lambda: setting.first.num_runs == 1)
        draining = asyncio.create_task(setting.engine.drain())
        await asyncio.sleep(0.02)
        setting.first.may_run.set()
        job = await waiting
        await draining
        assert (setting.results, setting.decided) == ({"missing": 2}, [(job, None)])

    run(scenario, AuditConfig(share=1.0))


def test_rows_for_which_a_member_gives_nothing_are_missing_and_no_others() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.infer(1.0, 3.0)
        await setting.infer(UNHEARD_OF, 3.0)
        await eventually(lambda: len(setting.decided) == 2)
        assert setting.results == {"agreed": 1, "disagreed": 2, "missing": 1}
        assert [audit.rows.tolist() for _, audit in setting.decided if audit] == [[0, 1], [1]]

    run(scenario, AuditConfig(share=1.0, gather_rows=4))


def test_of_a_large_request_there_are_as_many_audits_as_there_is_room_for() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.infer(*[1.0] * 11)
        await eventually(lambda: len(setting.decided) == 1)
        assert setting.results == {"agreed": 8, "missing": 3}

    run(scenario)


def test_inputs_are_let_go_once_all_rows_have_left() -> None:
    async def scenario(setting: Setting) -> None:
        job = await setting.infer(1.0, 3.0)
        assert job.inputs == {}

    run(scenario)
