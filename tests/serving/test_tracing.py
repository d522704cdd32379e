"""What spans say of a request: in the engine, and as a collector gets them from a server."""

import asyncio
from collections.abc import Callable, Coroutine

import numpy as np
import pytest

from serving.config import AuditConfig, BreakerConfig, Limits, SchedulerConfig
from serving.engine import Engine
from serving.errors import InvalidRequest, MemberDown, MemberFailed, NotFound
from serving.jobs import Job
from serving.messages import InferRequest, Parameter
from serving.registry import Registry
from serving.tracing import Fault, Span, Tracer
from tests.serving.scheduling.test_scheduler import cascade
from tests.serving.test_answer_always import Fallible, eventually

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-1] + "0"


class Setting:
    """An engine with a cascade `c`, whose spans are kept."""

    def __init__(self, *stages: tuple[str, ...], num_workers: int = 4, share: float = 1.0) -> None:
        names = [name for stage in stages for name in stage]
        self.members = {name: Fallible(name) for name in names}
        self.spans: list[Span] = []
        self.engine = Engine(
            Registry({"c": cascade(*stages, members=list(self.members.values()))}),
            SchedulerConfig(num_workers=num_workers),
            Limits(),
            breaker=BreakerConfig(slow_s=100.0),
            audit=AuditConfig(share=1.0),
            tracer=Tracer(self.spans.append, share),
        )
        self.engine.start()

    async def infer(self, *values: float, name: str = "", parent: str = "", **parameters: Parameter) -> Job:
        array = np.array([[value] for value in values], np.float32)
        inputs, types = {"x": array}, {"x": "FP32"}
        return await self.engine.infer(
            InferRequest("c", "", inputs, types, id=name, parameters=parameters, traceparent=parent)
        )

    def of(self, name: str) -> Span:
        (span,) = (span for span in self.spans if span.name == name)
        return span


def run(
    scenario: Callable[[Setting], Coroutine[None, None, None]],
    *stages: tuple[str, ...],
    num_workers: int = 4,
    share: float = 1.0,
) -> None:
    async def whole() -> None:
        setting = Setting(*(stages or (("a",), ("b",))), num_workers=num_workers, share=share)
        try:
            await scenario(setting)
        finally:
            for member in setting.members.values():
                member.may_run.set()
            setting.engine.stop()

    asyncio.run(asyncio.wait_for(whole(), 20))


def told(span: Span) -> dict[str, object]:
    """What can be told in advance."""
    return {
        name.removeprefix("exitgate."): value
        for name, value in span.attributes.items()
        if name != "exitgate.queue_s"
    }


def test_a_request_has_a_span_and_each_of_its_batches_one_below() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.infer(3.0, -3.0, name="r", parent=PARENT)
        first, second, whole = setting.spans
        assert [span.name for span in setting.spans] == ["stage 1 a", "stage 2 b", "infer c"]
        assert told(whole) == {
            "model": "c",
            "cascade_version": "1",
            "request_id": "r",
            "policy": "full",
            "rows": 2,
            "degraded": False,
            "exits": [0, 2],
        }
        rows = {"rows": 2, "batch_rows": 2}
        assert told(first) == {"stage": 1, "member": "a/1", "exited_rows": 0, "forwarded_rows": 2} | rows
        assert told(second) == {"stage": 2, "member": "b/1", "exited_rows": 2, "forwarded_rows": 0} | rows
        assert {span.trace_id for span in setting.spans} == {int(PARENT[3:35], 16)}
        assert (whole.parent_id, whole.is_request) == (int(PARENT[36:52], 16), True)
        assert [(span.parent_id, span.is_request) for span in (first, second)] == [(whole.span_id, False)] * 2
        assert len({span.span_id for span in setting.spans}) == 3
        assert {span.fault for span in setting.spans} == {None}
        assert whole.started_s <= first.started_s <= first.ended_s
        assert first.ended_s <= second.started_s <= second.ended_s <= whole.ended_s

    run(scenario)


def test_rows_of_others_in_a_batch_and_the_wait_for_it_are_told() -> None:
    async def scenario(setting: Setting) -> None:
        setting.members["a"].may_run.clear()
        held = asyncio.create_task(setting.infer(1.0, max_stages=1))
        await eventually(lambda: setting.members["a"].num_runs == 1)
        more = [asyncio.create_task(setting.infer(*[1.0] * k, name=str(k), max_stages=1)) for k in (2, 3)]
        await asyncio.sleep(0.1)
        setting.members["a"].may_run.set()
        await asyncio.gather(held, *more)
        parts = {span.attributes["exitgate.rows"]: span for span in setting.spans if not span.is_request}
        assert [parts[rows].attributes["exitgate.batch_rows"] for rows in (1, 2, 3)] == [1, 5, 5]
        assert [parts[rows].attributes["exitgate.exited_rows"] for rows in (1, 2, 3)] == [1, 2, 3]
        waits = [float(str(parts[rows].attributes["exitgate.queue_s"])) for rows in (1, 2, 3)]
        assert waits[0] < 0.1 <= waits[1] < 5.0
        assert 0.1 <= waits[2] < 5.0
        assert parts[2].trace_id != parts[3].trace_id

    run(scenario, num_workers=1)


def test_rows_are_counted_with_the_member_that_completes_their_stage() -> None:
    async def scenario(setting: Setting) -> None:
        setting.members["b"].may_run.clear()
        task = asyncio.create_task(setting.infer(3.0))
        await eventually(lambda: setting.members["a"].num_runs == 1)
        await asyncio.sleep(0.05)
        setting.members["b"].may_run.set()
        await task
        counts = {
            span.name: (span.attributes["exitgate.forwarded_rows"], span.attributes["exitgate.exited_rows"])
            for span in setting.spans
            if not span.is_request
        }
        assert counts == {"stage 1 a": (0, 0), "stage 1 b": (1, 0), "stage 2 c": (0, 1)}

    run(scenario, ("a", "b"), ("c",))


def test_a_member_that_fails_is_told_where_it_was_asked() -> None:
    async def scenario(setting: Setting) -> None:
        setting.members["b"].error = MemberDown("gone")
        await setting.infer(3.0, -3.0)
        lost = setting.of("stage 2 b")
        assert lost.fault == Fault("MemberDown", "gone")
        assert told(lost) == {
            "stage": 2,
            "member": "b/1",
            "rows": 2,
            "batch_rows": 2,
            "exited_rows": 2,
            "forwarded_rows": 0,
            "lost_rows": 2,
        }
        whole = setting.of("infer c")
        assert (whole.fault, whole.attributes["exitgate.degraded"]) == (None, True)
        assert whole.attributes["exitgate.exits"] == [2, 0]

    run(scenario)


def test_rows_whose_first_member_fails_are_forwarded() -> None:
    async def scenario(setting: Setting) -> None:
        setting.members["a"].error = MemberFailed("broken")
        await setting.infer(3.0)
        assert setting.of("stage 1 a").attributes["exitgate.forwarded_rows"] == 1
        assert setting.of("infer c").attributes["exitgate.exits"] == [0, 1]

    run(scenario)


def test_a_request_without_an_answer_says_why() -> None:
    async def scenario(setting: Setting) -> None:
        setting.members["b"].error = MemberFailed("broken")
        with pytest.raises(MemberFailed):
            await setting.infer(3.0, strict=True)
        whole = setting.of("infer c")
        assert whole.fault == Fault("MemberFailed", "broken")
        assert told(whole) == {"model": "c", "cascade_version": "1", "policy": "full", "rows": 1}
        assert [span.name for span in setting.spans] == ["stage 1 a", "stage 2 b", "infer c"]

    run(scenario)


def test_a_request_that_is_refused_has_a_span_of_its_own() -> None:
    async def scenario(setting: Setting) -> None:
        with pytest.raises(InvalidRequest):
            await setting.infer(3.0, name="r", luck=1)
        with pytest.raises(NotFound):
            await setting.infer(3.0, policy="luck")
        assert [span.fault.kind for span in setting.spans if span.fault] == ["InvalidRequest", "NotFound"]
        assert told(setting.spans[0]) == {"model": "c", "cascade_version": "1", "request_id": "r"}
        assert all(span.is_request and span.ended_s >= span.started_s for span in setting.spans)

    run(scenario)


def test_a_request_that_is_given_up_says_so() -> None:
    async def scenario(setting: Setting) -> None:
        setting.members["a"].may_run.clear()
        task = asyncio.create_task(setting.infer(3.0))
        await eventually(lambda: setting.members["a"].num_runs == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (whole,) = setting.spans
        assert whole.fault == Fault("CancelledError", "nobody waits for the answer any more")
        setting.members["a"].may_run.set()
        await eventually(lambda: len(setting.spans) == 2)
        assert setting.spans[1].parent_id == whole.span_id

    run(scenario)


def test_a_batch_that_ends_after_the_deadline_is_told_of_all_the_same() -> None:
    async def scenario(setting: Setting) -> None:
        member = setting.members["b"]
        # Else it gives up at the very moment at which the request is answered, before or after that.
        member.heeds_deadlines = False
        member.may_run.clear()
        await setting.infer(3.0, timeout=100_000)
        assert [span.name for span in setting.spans] == ["stage 1 a", "infer c"]
        whole = setting.of("infer c")
        assert (whole.attributes["exitgate.degraded"], whole.attributes["exitgate.exits"]) == (True, [1, 0])
        member.may_run.set()
        await eventually(lambda: len(setting.spans) == 3)
        late = setting.of("stage 2 b")
        # It was given to a worker before; on a machine that does other work it may begin after, too.
        assert (late.parent_id, late.fault, whole.ended_s < late.ended_s) == (whole.span_id, None, True)

    run(scenario)


def test_who_is_not_sampled_has_no_span() -> None:
    async def scenario(setting: Setting) -> None:
        job = await setting.infer(3.0, parent=UNSAMPLED)
        assert (job.trace, setting.spans) == (None, [])
        with pytest.raises(InvalidRequest):
            await setting.infer(3.0, luck=1, parent=UNSAMPLED)
        assert setting.spans == []
        await setting.infer(3.0, parent=PARENT)
        assert len(setting.spans) == 3

    run(scenario)


def test_a_share_is_drawn() -> None:
    async def scenario(setting: Setting) -> None:
        for _ in range(20):
            await setting.infer(3.0)
        assert setting.spans == []

    run(scenario, share=0.0)


def test_audits_are_no_part_of_a_trace() -> None:
    async def scenario(setting: Setting) -> None:
        await setting.infer(3.0)
        await eventually(lambda: setting.members["b"].num_runs == 2)
        audits = setting.engine.statistics.cascades["c"].audits
        await eventually(lambda: sum(audits.values()) == 1)
        assert len(setting.spans) == 3

    run(scenario)
