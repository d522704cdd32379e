"""The scheduler alone: events and times in, batches out."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.cascade_file import Cascade, TensorSpec
from cascade.cascade_file import Member as MemberSpec
from cascade.policy import Policy
from cascade.runtime import ServiceCurve
from serving.config import SchedulerConfig
from serving.errors import StartupError
from serving.jobs import Batch, Job, Terms, Work
from serving.members import EMBEDDED, Member
from serving.scheduling.curves import LearntCurve
from serving.scheduling.flows import BACKGROUND_LEVEL
from serving.scheduling.scheduler import Lane, Scheduler
from serving.served import ServedCascade

MAX_ROWS = 4


class Curved:
    """A member that is never run: batches of n rows take `per_row_s * n + per_batch_s`."""

    pool = EMBEDDED
    output_datatype = "FP32"

    def __init__(self, name: str, per_row_s: float = 1e-3, per_batch_s: float = 1.0) -> None:
        self.key = f"{name}/1"
        self.curve = LearntCurve(ServiceCurve(per_row_s, per_batch_s), MAX_ROWS)

    def run(
        self, inputs: Mapping[str, NDArray[np.generic]], deadline_s: float = math.inf
    ) -> NDArray[np.floating]:
        raise AssertionError("the scheduler runs nothing")


def cascade(*stages: tuple[str, ...], name: str = "c", members: Sequence[Member] = ()) -> ServedCascade:
    """By default batches take a second whatever their size, so that only full ones are worthwhile."""
    names = [member for stage in stages for member in stage]
    described = Cascade(
        name=name,
        version=1,
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, -1)),),
        classes=("a", "b"),
        members=tuple(MemberSpec(name=n, version=1, sha256="", macs=1, inputs={"x": "x"}) for n in names),
        stages=stages,
        policies={"full": Policy(kind="full", num_stages=len(stages))},
        default_policy="full",
    )
    return ServedCascade(described, tuple(members) or tuple(Curved(n) for n in names))


TWO = cascade(("first",), ("second",))
numbers = itertools.count()


def job(
    rows: int,
    arrived_s: float,
    served: ServedCascade = TWO,
    width: int = 3,
    deadline_s: float = math.inf,
    level: int = 2,
) -> Job:
    terms = Terms(arrived_s=arrived_s, number=next(numbers), deadline_s=deadline_s, level=level)
    inputs = {"x": np.full((rows, width), arrived_s, np.float32)}
    return Job(served, "full", served.cascade.policies["full"], None, inputs, terms)


def scheduler(workers: int = 1, max_batch_rows: int = MAX_ROWS) -> Scheduler:
    return Scheduler(SchedulerConfig(num_workers=workers, max_batch_rows=max_batch_rows))


def taken(batch: Batch | None) -> tuple[str, list[tuple[float, list[int]]]]:
    assert batch is not None
    return batch.member.key, [(float(work.job.inputs["x"][0, 0]), work.rows.tolist()) for work in batch.works]


def members_run(plan: Scheduler, times: int, now_s: float = 0.0) -> list[str]:
    """Of the next batches, each done before the one after."""
    members = []
    for _ in range(times):
        batch = plan.next_batch(now_s)
        assert batch is not None
        members.append(batch.member.key)
        plan.finish(batch)
    return members


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


def test_the_queue_whose_head_has_waited_longest_goes_first() -> None:
    """Whatever the deadlines, the stage, and the number of rows."""
    plan = scheduler()
    early = job(1, 0, deadline_s=0.9)
    plan.submit(early, 0.0)
    batch = plan.next_batch(0.0)
    assert batch is not None
    plan.submit(job(4, 1, deadline_s=0.2), 0.1)
    plan.forward([Work(early, np.array([0]), 0, 0, 0.0)], 0.2)
    plan.finish(batch)
    plan.submit(job(4, 2, deadline_s=0.8), 0.3)
    assert members_run(plan, 3, 0.4) == ["first/1", "second/1", "first/1"]


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


def test_rows_of_a_job_that_is_over_are_let_go() -> None:
    plan = scheduler()
    given_up, kept = job(3, 0), job(1, 1)
    plan.submit(given_up, 0.0)
    plan.submit(kept, 0.0)
    plan.discard(given_up)
    assert plan.queued_rows == 1
    assert taken(plan.next_batch(0.0)) == ("first/1", [(1, [0])])
    assert plan.queued_rows == 0
    plan.discard(kept)


def test_nothing_is_kept_of_what_has_left() -> None:
    """Under a load that never ends, with rows that are overtaken for ever and given up."""
    plan = scheduler(max_batch_rows=1)
    for number in range(500):
        plan.submit(job(1, number, level=1), 0.0)
        idle = job(1, number, level=3)
        plan.submit(idle, 0.0)
        batch = plan.next_batch(0.0)
        assert batch is not None
        plan.finish(batch)
        plan.discard(idle)
    assert (plan.queued_rows, plan._queues) == (0, {})
    waiting = Lane()
    for number in range(500):
        low = job(1, number, level=3)
        waiting.push(Work(low, np.arange(1), 0, 0, 0.0), 2 * number)
        waiting.push(Work(job(1, 0, level=1), np.arange(1), 0, 0, 0.0), 2 * number + 1)
        waiting.discard(low)
    assert (waiting.num_rows, len(waiting._waiting)) == (500, 500)
    assert len(waiting._heap) <= 1016


def test_a_cascade_that_ran_alone_is_not_starved_by_one_that_comes_when_nothing_waits() -> None:
    early, late = cascade(("e",), name="early"), cascade(("l",), name="late")
    plan = scheduler()
    for number in range(100):
        plan.submit(job(4, number, early), 0.0)
        members_run(plan, 1)
    for number in range(20):
        plan.submit(job(4, number, late), 0.0)
        plan.submit(job(4, number, early), 0.0)
    assert sorted(members_run(plan, 10)) == ["e/1"] * 5 + ["l/1"] * 5


def test_every_row_runs_once_per_stage_under_random_events() -> None:
    rng = np.random.default_rng(0)
    plan = scheduler(workers=3, max_batch_rows=5)
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
                seen = ran.setdefault((int(work.job.inputs["x"][0, 0]), work.stage), set())
                assert not seen & set(work.rows.tolist())
                seen |= set(work.rows.tolist())
            running.append(batch)
    assert len(ran) == 120
    assert all(ran[number, 0] == ran[number, 1] for number in range(60))


def test_settings_name_field_and_value() -> None:
    with pytest.raises(StartupError, match="max_batch_rows is 0; it must be positive"):
        SchedulerConfig(max_batch_rows=0)


def test_the_earliest_deadline_goes_first_whenever_it_came() -> None:
    plan = scheduler(max_batch_rows=1)
    for number, deadline in enumerate((0.9, 0.3, 0.6)):
        plan.submit(job(1, number, deadline_s=deadline), 0.0)
    order = []
    while (batch := plan.next_batch(0.0)) is not None:
        order.append(taken(batch)[1][0][0])
        plan.finish(batch)
    assert order == [1, 2, 0]


def test_a_request_without_a_deadline_is_ranked_as_if_it_had_a_second() -> None:
    plan = scheduler(max_batch_rows=1)
    plan.submit(job(1, 0.0), 0.0)
    plan.submit(job(1, 0.5, deadline_s=0.9), 0.5)
    plan.submit(job(1, 0.6, deadline_s=1.1), 0.6)
    order = []
    while (batch := plan.next_batch(0.6)) is not None:
        order.append(taken(batch)[1][0][0])
        plan.finish(batch)
    assert order == pytest.approx([0.5, 0.0, 0.6])


def test_a_more_urgent_level_goes_first_even_in_a_batch_less_worthwhile() -> None:
    plan = scheduler()
    urgent = job(1, 5, level=1)
    plan.submit(urgent, 0.0)
    batch = plan.next_batch(0.0)
    assert batch is not None
    plan.forward([Work(urgent, np.array([0]), 0, 0, 0.0)], 0.0)
    plan.finish(batch)
    plan.submit(job(4, 0), 0.0)
    assert taken(plan.next_batch(0.0)) == ("second/1", [(5, [0])])


def test_a_flood_of_one_cascade_does_not_starve_another() -> None:
    """Two cascades, each with its own member: they take turns, whatever the flood's deadlines."""
    flood, other = cascade(("f",), name="flood"), cascade(("o",), name="other")
    plan = scheduler()
    for number in range(40):
        plan.submit(job(4, number, flood, deadline_s=1.0), 0.0)
    for number in range(3):
        plan.submit(job(4, number, other, deadline_s=50.0), 0.0)
    assert sorted(members_run(plan, 6)) == ["f/1"] * 3 + ["o/1"] * 3


def test_a_cascade_that_was_idle_has_no_credit() -> None:
    early, late = cascade(("e",), name="early"), cascade(("l",), name="late")
    plan = scheduler()
    for number in range(20):
        plan.submit(job(4, number, early), 0.0)
    members_run(plan, 10)
    for number in range(10):
        plan.submit(job(4, number, late), 0.0)
    assert sorted(members_run(plan, 6)) == ["e/1"] * 3 + ["l/1"] * 3


def test_cascades_that_share_a_member_share_its_batches() -> None:
    member = Curved("m")
    one = cascade(("m",), name="one", members=[member])
    two = cascade(("m",), name="two", members=[member])
    plan = scheduler()
    plan.submit(job(1, 0, one), 0.0)
    plan.submit(job(2, 1, two), 0.0)
    assert sorted(taken(plan.next_batch(0.0))[1]) == [(0, [0]), (1, [0, 1])]


def test_a_batch_is_no_longer_than_its_most_urgent_row_has_time_for() -> None:
    """A row takes a second and a batch nothing: three rows are through in time, and no fourth is taken."""
    served = cascade(("slow",), members=[Curved("slow", 1.0, 1e-6)])
    plan = scheduler()
    plan.submit(job(4, 0, served, deadline_s=3.5), 0.0)
    batch = plan.next_batch(0.0)
    assert taken(batch) == ("slow/1", [(0, [0, 1, 2])])


def test_a_deadline_makes_no_batches_that_are_not_worth_running() -> None:
    """A batch takes a second whatever its size, so cutting it short would gain nothing."""
    plan = scheduler()
    plan.submit(job(4, 0, deadline_s=0.1), 0.0)
    assert taken(plan.next_batch(0.0)) == ("first/1", [(0, [0, 1, 2, 3])])


def test_urgent_arrivals_do_not_make_a_queue_look_young() -> None:
    """The first member's queue holds a row that has waited longer than any; that others overtake it there
    does not send its queue to the back."""
    plan = scheduler()
    served = cascade(("first",), ("second",))
    through = job(1, 0, served)
    plan.submit(through, 0.0)
    batch = plan.next_batch(0.0)
    assert batch is not None
    plan.submit(job(1, 1, served, deadline_s=0.9), 0.1)
    plan.forward([Work(through, np.array([0]), 0, 0, 0.0)], 0.2)
    plan.submit(job(4, 2, served, deadline_s=0.5), 0.3)
    plan.finish(batch)
    batch = plan.next_batch(0.4)
    assert taken(batch) == ("first/1", [(2, [0, 1, 2, 3])])
    assert batch is not None
    plan.finish(batch)
    assert taken(plan.next_batch(0.4)) == ("first/1", [(1, [0])])


def test_what_is_left_of_a_work_keeps_its_place() -> None:
    plan = scheduler()
    plan.submit(job(6, 0), 0.0)
    batch = plan.next_batch(0.0)
    assert batch is not None
    plan.forward(batch.works, 0.1)
    plan.finish(batch)
    assert taken(plan.next_batch(0.2)) == ("first/1", [(0, [4, 5])])


def test_what_nobody_waits_for_runs_where_there_is_nothing_else() -> None:
    """Of whichever cascade, and first in what room is left."""
    plan, other = scheduler(), cascade(("third",), name="other")
    plan.submit(job(4, 0, TWO, level=BACKGROUND_LEVEL), 0.0)
    for order in range(3):
        plan.submit(job(3, order, other), 0.0)
    assert members_run(plan, 4) == ["third/1", "third/1", "third/1", "first/1"]
