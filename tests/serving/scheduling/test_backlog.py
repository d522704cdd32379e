"""What is taken, what is refused, and that the books balance."""

import math
from asyncio import Future, new_event_loop
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from cascade.policy import Policy
from serving.config import SchedulerConfig
from serving.errors import Overloaded, TimedOut
from serving.jobs import Batch, Job, Terms, Work
from serving.scheduling.backlog import Backlog
from serving.scheduling.flows import BACKGROUND_LEVEL
from serving.served import ServedCascade
from tests.serving.scheduling.test_scheduler import Curved, cascade, job

ROW_S = 0.1


def served(*names: str, cascade_name: str = "c") -> ServedCascade:
    """Stages of one member; a row takes a tenth of a second, a batch nothing."""
    members = [Curved(name, ROW_S, 1e-9) for name in names]
    return cascade(*((name,) for name in names), name=cascade_name, members=members)


def backlog(workers: int = 1, max_queue_s: float = 10.0, max_queue_bytes: int = 2**30) -> Backlog:
    return Backlog(
        SchedulerConfig(num_workers=workers, max_queue_s=max_queue_s, max_queue_bytes=max_queue_bytes)
    )


def rows_taken(books: Backlog, make: ServedCascade, **terms: float) -> int:
    """How many requests of one row are taken before one is refused."""
    for number in range(1000):
        try:
            books.take(job(1, 0.0, make, **terms), 0.0)  # type: ignore[arg-type]
        except Overloaded:
            return number
    return 1000


def test_the_queue_is_bounded_by_the_time_that_it_would_take() -> None:
    assert rows_taken(backlog(max_queue_s=2.05), served("m")) == 21
    assert rows_taken(backlog(max_queue_s=2.02, workers=2), served("m")) == 41


def test_the_refusal_says_when_to_come_again() -> None:
    books = backlog(max_queue_s=2.0)
    books.take(job(30, 0.0, served("m")), 0.0)
    with pytest.raises(Overloaded, match=r"^3 s of work are queued; at most 2 s may be$") as caught:
        books.take(job(1, 0.0, served("m")), 0.0)
    assert caught.value.retry_after_s == pytest.approx(3.0)


def test_later_stages_count_by_the_share_that_reaches_them() -> None:
    """Until rows have been seen, half are thought to go on."""
    one = rows_taken(backlog(max_queue_s=3.05), served("a"))
    two = rows_taken(backlog(max_queue_s=3.05), served("a", "b"))
    assert (one, two) == (31, 21)


def test_a_deadline_that_cannot_be_met_is_refused_at_once() -> None:
    books, member = backlog(), served("m")
    assert rows_taken(books, member, deadline_s=1.05) == 5
    with pytest.raises(Overloaded, match=r"may take 1\.1 s; the request allows 0\.147 s"):
        books.take(job(1, 0.0, member, deadline_s=0.15), 0.0)
    with pytest.raises(TimedOut, match="the deadline passed before the request was here"):
        books.take(job(1, 0.0, member, deadline_s=0.0), 0.0)


def test_a_row_is_thought_to_travel_through_all_stages_in_the_batches_that_wait_there() -> None:
    """Batches of four take a tenth of a second as those of one do: three stages are 0.3 s, and twice the work
    that waits, of which a half and a quarter go on, is 0.35 s."""
    members = [Curved(name, 1e-9, 0.1) for name in ("a", "b", "c")]
    three = cascade(("a",), ("b",), ("c",), members=members)
    books = backlog()
    books.take(job(4, 0.0, three), 0.0)
    with pytest.raises(Overloaded, match=r"may take 0\.65 s; the request allows 0\.637 s"):
        books.take(job(1, 0.0, three, deadline_s=0.64), 0.0)
    books.take(job(1, 0.0, three, deadline_s=0.66), 0.0)


def test_a_cascade_with_nothing_to_do_takes_what_it_does_not_believe_in() -> None:
    """Or what it learnt when the machine was busy would shut it for ever."""
    books, member = backlog(), served("m")
    hopeless = job(1, 0.0, member, deadline_s=0.01)
    books.take(hopeless, 0.0)
    with pytest.raises(TimedOut, match=r"the answer takes 0\.1 s; the request allows 0\.008 s"):
        books.take(job(1, 0.0, member, deadline_s=0.01), 0.0)
    books.take(job(1, 0.0, served("n", cascade_name="other"), deadline_s=0.01), 0.0)
    _end(books, hopeless)
    books.take(job(1, 0.0, member, deadline_s=0.01), 0.0)


def test_work_that_is_less_urgent_is_not_ahead() -> None:
    books, member = backlog(max_queue_s=1.05), served("m")
    assert rows_taken(books, member, level=3) == 11
    assert rows_taken(books, member, level=1) == 11
    assert rows_taken(books, member, level=3) == 0


def test_a_flooded_cascade_leaves_another_its_turn() -> None:
    """The flood has ten seconds of work; of the other's rows each is taken as one of two that take turns."""
    books = backlog(max_queue_s=10.0)
    flood, other = served("m", cascade_name="flood"), served("n", cascade_name="other")
    rows_taken(books, flood)
    assert rows_taken(books, other, deadline_s=1.05) == 3
    with pytest.raises(Overloaded):
        books.take(job(1, 0.0, flood, deadline_s=1.05), 0.0)


def test_inputs_that_are_held_are_bounded() -> None:
    books = backlog(max_queue_bytes=100)
    kept = job(8, 0.0, served("m"))
    assert kept.num_bytes == 96
    books.take(kept, 0.0)
    with pytest.raises(Overloaded, match="108 bytes of input would be queued"):
        books.take(job(1, 0.0, served("m")), 0.0)
    books.drop(kept)
    books.take(job(1, 0.0, served("m")), 0.0)


def test_what_runs_is_done_bit_by_bit() -> None:
    """Eight tenths of the running batch's second are over, so what is left of it is ahead, and no more."""
    books, member = backlog(max_queue_s=0.25), served("m")
    first = job(10, 0.0, member)
    books.take(first, 0.0)
    books.started(Batch(member.slots[0], [Work(first, np.arange(10), 0, 0, 0.0)]), 0.0)
    with pytest.raises(Overloaded):
        books.take(job(1, 0.0, member), 0.0)
    books.take(job(1, 0.8, member), 0.8)


class Done:
    def done(self) -> bool:
        return True


def _end(books: Backlog, each: Job) -> None:
    each.done = Done()  # type: ignore[assignment]
    books.drop(each)


def test_the_books_balance_however_requests_end() -> None:
    """Rows that went on, left, were dropped, and came back after their request had ended."""
    books, member = backlog(max_queue_s=math.inf), served("a", "b")
    through, given_up = job(4, 0.0, member), job(4, 0.0, member)
    for each in (through, given_up):
        books.take(each, 0.0)
    batch = Batch(member.slots[0], [Work(each, np.arange(4), 0, 0, 0.0) for each in (through, given_up)])
    books.started(batch, 0.0)
    _end(books, given_up)
    for each in (through, given_up):
        books.forwarded(Work(each, np.array([0, 1]), 0, 0, 0.0))
        books.exited(each, 0, 2)
    books.finished(batch)
    assert (through.at, given_up.at) == ([0, 2], [0, 0])
    assert through.flow.rows == [0, 2]
    books.exited(through, 1, 2)
    _end(books, through)
    assert through.flow.rows == [0, 0]
    books.take(job(1, 0.0, member), 0.0)
    assert (books._num_bytes, books._flows) == (12, {job(1, 0.0, member).flow})


def test_a_policy_that_never_forwards_is_priced_at_its_first_stage() -> None:
    """Behind a second stage of ten seconds a row."""
    slow = cascade(("a",), ("b",), members=[Curved("a", ROW_S, 1e-9), Curved("b", 10.0, 1e-9)])
    first = Policy(kind="first", num_stages=2)
    both = replace(slow, cascade=replace(slow.cascade, policies={**slow.cascade.policies, "first": first}))
    books = backlog()
    for _ in range(3):
        terms = Terms(arrived_s=0.0, number=0, deadline_s=1.05)
        books.take(Job(both, "first", first, None, {"x": np.zeros((1, 3), np.float32)}, terms), 0.0)


def test_what_is_left_of_less_urgent_batches_is_waited_for() -> None:
    books, member = backlog(max_queue_s=0.85), served("m")
    running = job(10, 0.0, member, level=3)
    books.take(running, 0.0)
    books.started(Batch(member.slots[0], [Work(running, np.arange(10), 0, 0, 0.0)]), 0.0)
    with pytest.raises(Overloaded):
        books.take(job(1, 0.1, member, level=1), 0.1)
    books.take(job(1, 0.2, member, level=1), 0.2)


def test_texts_count_by_their_length() -> None:
    texts = np.array([["a" * 10], ["b" * 5]], np.object_)
    served_texts = served("m")
    terms = Terms(arrived_s=0.0, number=0)
    each = Job(served_texts, "full", served_texts.cascade.policies["full"], None, {"x": texts}, terms)
    assert each.num_bytes == 15


def test_of_a_batch_whose_request_is_over_the_rest_is_waited_for() -> None:
    """Ten rows run, of a request that was given up, and one row of another waits."""
    books, member = backlog(max_queue_s=0.95), served("m")
    given_up, waits = job(10, 0.0, member), job(1, 0.0, member)
    books.take(given_up, 0.0)
    books.started(Batch(member.slots[0], [Work(given_up, np.arange(10), 0, 0, 0.0)]), 0.0)
    with closing(new_event_loop()) as loop:
        given_up.done = Future(loop=loop)
        given_up.done.set_result(None)
    books.drop(given_up)
    books.take(waits, 0.2)
    with pytest.raises(Overloaded, match=r"^0\.99 s of work are queued"):
        books.take(job(1, 0.0, member), 0.11)
    books.take(job(1, 0.0, member), 0.2)


def test_what_nobody_waits_for_is_before_nobody() -> None:
    books, mine, other = backlog(max_queue_s=0.5), served("m"), served("n", cascade_name="d")
    for make in (mine, other):
        books.enter(job(20, 0.0, make, level=BACKGROUND_LEVEL))
    assert rows_taken(books, mine) == rows_taken(backlog(max_queue_s=0.5), served("m"))


def test_a_request_that_cannot_be_served_in_time_puts_no_pressure_on() -> None:
    books, member = backlog(), served("m")
    books.take(job(2, 0.0, member), 0.0)
    assert books.pressure(job(1, 0.0, member, deadline_s=0.5), 0.0) == pytest.approx(0.8, abs=0.02)
    assert books.pressure(job(1, 0.0, member, deadline_s=0.09), 0.0) == 0.0
    assert books.pressure(job(1, 0.0, member, deadline_s=0.5), 0.6) == 0.0
    assert books.pressure(job(1, 0.0, member), 0.0) == pytest.approx(0.2)


def test_the_loops_lag_counts_at_every_stage() -> None:
    books, member = backlog(), served("m")
    for _ in range(100):
        books.heard(0.2)
    books.take(job(1, 0.0, member), 0.0)
    with pytest.raises(TimedOut, match=r"the answer takes 0\.5 s; the request allows 0\.397 s"):
        books.take(job(1, 0.0, member, deadline_s=0.4), 0.0)


def test_rows_that_begin_later_mean_only_what_is_left_of_them() -> None:
    books, make = backlog(), served("a", "b")
    late = job(20, 0.0, make, level=BACKGROUND_LEVEL)
    late.begins = ((0, np.arange(5)), (1, np.arange(5, 20)))
    books.enter(late)
    assert (late.at, list(late.flow.rows)) == ([5, 15], [5, 15])
    books.drop(late)
    assert (late.at, list(late.flow.rows)) == ([0, 0], [0, 0])
