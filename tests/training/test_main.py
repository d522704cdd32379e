"""The command as the system sees it: what becomes of its processes and its folder when it is told to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import training

CHECKOUT = Path(training.__file__).parents[1]
FOREVER = [
    *("--dataset", "digits", "--copies", "1", "--max-train-rows", "320", "--models", "resnet8,resnet8"),
    *("--jobs", "2", "--epochs", "1000000"),
]
START_S = 60
END_S = 20


def children(parent):
    """Process ids of all that live and whose parent this is."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path.name) == parent]


def _parent(pid):
    """None of one that is gone, or dead and not yet asked about by its parent."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(parent)


def workers(trainer):
    """They are children of the fork server."""
    return [worker for child in children(trainer) for worker in children(child)]


def wait_until(condition, limit_s):
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def trainer(tmp_path):
    """A training at work in two processes; none of them outlives the test."""
    command = [sys.executable, "-m", "training", *FOREVER, "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True)
    process.workers = []
    try:
        wait_until(lambda: process.poll() is not None or len(workers(process.pid)) == 2, START_S)
        process.workers = workers(process.pid)
        assert len(process.workers) == 2 and list(tmp_path.glob(".run.*.partial"))
        yield process
    finally:
        for pid in (process.pid, *process.workers):
            if _parent(pid) is not None:
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def is_gone(pids):
    return all(_parent(pid) is None for pid in pids)


def test_workers_do_not_outlive_a_killed_trainer(trainer):
    # At work, not still getting ready.
    wait_until(lambda: all(_cpu_s(pid) > 1 for pid in trainer.workers), START_S)
    trainer.kill()
    wait_until(lambda: is_gone(trainer.workers), END_S)


def _cpu_s(pid):
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_told_to_end_tidies_up(trainer, tmp_path, number):
    trainer.send_signal(number)
    _, printed = trainer.communicate(timeout=END_S)
    assert (trainer.returncode, printed) == (130, "error: interrupted, nothing was written\n")
    assert is_gone(trainer.workers)
    assert list(tmp_path.iterdir()) == []
