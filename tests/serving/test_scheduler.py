"""The scheduler alone: events and times in, batches out."""

import numpy as np
import pytest

from cascade.cascade_file import Cascade, Member, TensorSpec
from cascade.policy import Policy
from serving.config import SchedulerConfig
from serving.errors import StartupError
from serving.jobs import Batch, Job, Work
from serving.registry import ServedCascade
from serving.scheduler import Scheduler


def cascade(*stages: tuple[str, ...]) -> ServedCascade:
    names = [name for stage in stages for name in stage]
    return ServedCascade(
        Cascade(
            name="c",
            version=1,
            inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, -1)),),
            classes=("a", "b"),
            members=tuple(Member(name=n, version=1, sha256="", macs=1, inputs={"x": "x"}) for n in names),
            stages=stages,
            policies={"full": Policy(kind="full", num_stages=len(stages))},
            default_policy="full",
        )
    )


TWO = cascade(("first",), ("second",))


def job(rows: int, order: float, served: ServedCascade = TWO, width: int = 3) -> Job:
    inputs = {"x": np.zeros((rows, width), np.float32)}
    return Job(served, "full", served.cascade.policies["full"], None, inputs, (order, 0))


def scheduler(workers: int = 1, max_batch_rows: int = 4, max_wait_s: float = 1.0) -> Scheduler:
    return Scheduler(
        SchedulerConfig(num_workers=workers, max_batch_rows=max_batch_rows, max_wait_s=max_wait_s)
    )


def taken(batch: Batch | None) -> tuple[str, list[tuple[float, list[int]]]]:
    assert batch is not None
    return batch.member, [(work.job.order[0], work.rows.tolist()) for work in batch.works]


def forward_all(batch: Batch) -> list[Work]:
    return batch.works


def test_an_idle_worker_takes_what_there_is_at_once() -> None:
    plan = scheduler()
    plan.submit(job(1, 0), 0.0)
    assert taken(plan.next_batch(0.0)) == ("first/1", [(0, [0])])


def test_requests_meet_in_a_batch_and_the_last_is_split() -> None:
    plan = scheduler()
    for order in range(3):
        plan.submit(job(3, order), 0.0)
    assert taken(plan.next_batch(0.0)) == ("first/1", [(0, [0, 1, 2]), (1, [0])])
    assert plan.next_batch(0.0) is None
    assert plan.queued_rows == 5


def test_no_batch_while_all_workers_are_busy() -> None:
    plan = scheduler(workers=2)
    for order in range(3):
        plan.submit(job(4, order), 0.0)
    first, second = plan.next_batch(0.0), plan.next_batch(0.0)
    assert first is not None
    assert second is not None
    assert plan.next_batch(0.0) is None
    plan.finish(first)
    assert taken(plan.next_batch(0.0)) == ("first/1", [(2, [0, 1, 2, 3])])


def test_forwarded_rows_of_different_requests_are_batched_again() -> None:
    plan = scheduler()
    older, newer = job(2, 0), job(2, 1)
    for each in (older, newer):
        plan.submit(each, 0.0)
    batch = plan.next_batch(0.0)
    assert batch is not None
    plan.forward([Work(older, np.array([1]), 0, 0, 0.0), Work(newer, np.array([0]), 0, 0, 0.0)], 0.1)
    plan.finish(batch)
    assert taken(plan.next_batch(0.1)) == ("second/1", [(0, [1]), (1, [0])])


def test_rows_in_flight_go_before_new_ones() -> None:
    plan = scheduler()
    plan.submit(job(1, 0), 0.0)
    batch = plan.next_batch(0.0)
    assert batch is not None
    plan.submit(job(1, 1), 0.1)
    plan.forward(forward_all(batch), 0.2)
    plan.finish(batch)
    assert taken(plan.next_batch(0.2))[0] == "second/1"


def test_full_batches_go_before_partial_ones_until_these_have_waited() -> None:
    plan = scheduler(max_wait_s=1.0)
    plan.submit(job(1, 0), 0.0)
    batch = plan.next_batch(0.0)
    assert batch is not None
    plan.forward(forward_all(batch), 0.0)
    plan.finish(batch)
    for order in range(1, 4):
        plan.submit(job(4, order), 0.0)
    for now, member in ((0.5, "first/1"), (0.9, "first/1"), (1.0, "second/1"), (1.0, "first/1")):
        batch = plan.next_batch(now)
        assert batch is not None
        assert batch.member == member
        plan.finish(batch)


def test_members_of_one_stage_all_get_the_rows() -> None:
    plan = scheduler(workers=2)
    plan.submit(job(2, 0, cascade(("left", "right"), ("last",))), 0.0)
    assert {taken(plan.next_batch(0.0))[0] for _ in range(2)} == {"left/1", "right/1"}


def test_rows_of_different_shapes_never_share_a_batch() -> None:
    plan = scheduler(workers=2)
    plan.submit(job(1, 0, width=3), 0.0)
    plan.submit(job(1, 1, width=5), 0.0)
    assert taken(plan.next_batch(0.0)) == ("first/1", [(0, [0])])
    assert taken(plan.next_batch(0.0)) == ("first/1", [(1, [0])])


class Done:
    def done(self) -> bool:
        return True


def test_rows_of_a_settled_job_are_dropped() -> None:
    plan = scheduler()
    given_up = job(3, 0)
    given_up.done = Done()  # type: ignore[assignment]
    plan.submit(given_up, 0.0)
    plan.submit(job(1, 1), 0.0)
    assert taken(plan.next_batch(0.0)) == ("first/1", [(1, [0])])
    assert plan.queued_rows == 0


def test_every_row_runs_once_per_stage_under_random_events() -> None:
    rng = np.random.default_rng(0)
    plan = scheduler(workers=3, max_batch_rows=5, max_wait_s=0.1)
    running: list[Batch] = []
    ran: dict[tuple[int, int], set[int]] = {}
    now, submitted = 0.0, 0
    while submitted < 60 or running or plan.queued_rows:
        now += float(rng.exponential(0.05))
        if submitted < 60 and rng.random() < 0.5:
            plan.submit(job(int(rng.integers(1, 9)), submitted), now)
            submitted += 1
        elif running:
            batch = running.pop(int(rng.integers(len(running))))
            plan.forward([work for work in batch.works if work.stage == 0], now)
            plan.finish(batch)
        while (batch := plan.next_batch(now)) is not None:
            assert 1 <= batch.num_rows <= 5
            for work in batch.works:
                seen = ran.setdefault((int(work.job.order[0]), work.stage), set())
                assert not seen & set(work.rows.tolist())
                seen |= set(work.rows.tolist())
            running.append(batch)
    assert len(ran) == 120
    assert all(ran[number, 0] == ran[number, 1] for number in range(60))


def test_settings_name_field_and_value() -> None:
    with pytest.raises(StartupError, match="max_batch_rows is 0; it must be positive"):
        SchedulerConfig(max_batch_rows=0)
