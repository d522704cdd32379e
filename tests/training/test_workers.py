import os
import time

import pytest

from training.errors import DatasetError, WorkerError
from training.workers import run_all


def square(number):
    return number * number


def fail_beside_a_busy_neighbour(task):
    started, does_fail = task
    if not does_fail:
        started.with_suffix(".pid").write_text(str(os.getpid()))
        started.touch()
        time.sleep(60)
    while not started.exists():
        time.sleep(0.01)
    raise DatasetError("first of all")


def die(number):
    os._exit(3)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_tasks(jobs):
    assert run_all(square, [3, 1, 2], jobs) == [9, 1, 4]


def test_the_first_error_ends_all(tmp_path):
    tasks = [(tmp_path / "started", True), (tmp_path / "started", False)]
    began = time.monotonic()
    with pytest.raises(DatasetError, match="first of all"):
        run_all(fail_beside_a_busy_neighbour, tasks, jobs=2)
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "started.pid").read_text()), 0)


def test_a_process_that_dies_is_an_error():
    with pytest.raises(WorkerError, match="a process died"):
        run_all(die, [0, 1], jobs=2)
