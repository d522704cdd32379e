import os
import signal
import time
from contextlib import suppress

import pytest

from training.errors import DatasetError, WorkerError
from training.interrupt import heeding
from training.workers import TERMINATION_S, run_all

LONG_S = 300.0
"""Nobody waits for so long, however slow the machine."""


def square(number):
    return number * number


def note_process(number):
    return os.getpid()


def fail_beside_a_busy_neighbour(task):
    started, does_fail = task
    if not does_fail:
        started.with_suffix(".pid").write_text(str(os.getpid()))
        started.touch()
        time.sleep(LONG_S)
    wait_for(started)
    raise DatasetError("first of all")


def wait_for(path):
    until = time.monotonic() + LONG_S / 3
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def die_beside_one_that_heeds(task):
    """The other ends as a training does: when an update is over, with something saved."""
    folder, does_die = task
    if does_die:
        wait_for(folder / "started")
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        with heeding() as wish:
            (folder / "started").touch()
            while not wish.is_made:
                time.sleep(0.01)
            # Long enough for a second signal to come, if one does.
            time.sleep(0.3)
            (folder / "saved").touch()
            raise DatasetError("stopped")
    finally:
        (folder / "ended").touch()


def answer_at_length(number):
    return "x" * 1_000_000


def answer_at_length_when_told_to_end(task):
    started, does_fail = task
    if does_fail:
        wait_for(started)
        raise DatasetError("first of all")
    with suppress(KeyboardInterrupt):
        started.touch()
        time.sleep(LONG_S)
    return "x" * 1_000_000


class ToldToEnd:
    """An answer in the telling of which its process is told to end."""

    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return int, (7,)


def answer_told_to_end(number):
    return ToldToEnd()


def fail_unexpectedly(number):
    raise ZeroDivisionError(f"by {number}")


def end_itself(task):
    """As a worker that is told to end before it has begun to train."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LONG_S)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_tasks(jobs):
    assert run_all(square, [3, 1, 2], jobs) == [9, 1, 4]


def test_side_by_side_each_has_a_process_of_its_own():
    processes = run_all(note_process, [0, 1, 2], jobs=2)
    assert len({*processes, os.getpid()}) == 4
    assert run_all(note_process, [0, 1], jobs=1) == [os.getpid()] * 2


def test_the_first_error_ends_all(tmp_path):
    tasks = [(tmp_path / "started", True), (tmp_path / "started", False)]
    began = time.monotonic()
    with pytest.raises(DatasetError, match="first of all"):
        run_all(fail_beside_a_busy_neighbour, tasks, jobs=2)
    assert time.monotonic() - began < TERMINATION_S
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "started.pid").read_text()), 0)


def test_a_process_that_dies_is_an_error_and_its_neighbour_may_save(tmp_path):
    with pytest.raises(WorkerError, match=r"a process died while it trained \(out of memory\?\); --resume"):
        run_all(die_beside_one_that_heeds, [(tmp_path, True), (tmp_path, False)], jobs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ended", "saved", "started"]


def test_a_long_answer_comes_through():
    assert run_all(answer_at_length, [0, 1], jobs=2) == ["x" * 1_000_000] * 2


def test_nobody_waits_for_an_answer_that_is_not_heard(tmp_path):
    began = time.monotonic()
    with pytest.raises(DatasetError, match="first of all"):
        tasks = [(tmp_path / "started", True), (tmp_path / "started", False)]
        run_all(answer_at_length_when_told_to_end, tasks, jobs=2)
    assert time.monotonic() - began < TERMINATION_S


def test_an_answer_under_way_arrives(capfd):
    assert run_all(answer_told_to_end, [0], jobs=2) == [7]
    assert capfd.readouterr().err == ""


def test_an_unexpected_error_tells_where_it_was():
    with pytest.raises(ZeroDivisionError, match="by 0") as error:
        run_all(fail_unexpectedly, [0], jobs=2)
    assert "in fail_unexpectedly" in error.value.__notes__[0]


def test_a_worker_that_is_told_to_end_says_so(capfd):
    with pytest.raises(KeyboardInterrupt):
        run_all(end_itself, [0], jobs=2)
    assert capfd.readouterr().err == ""
