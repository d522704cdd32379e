"""The command as the system sees it: what becomes of its processes and its folder when it is told to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import training
from tests.training.test_resume import assert_equal_members, updates_saved
from training.checkpoint import NAME
from training.cli import main

CHECKOUT = Path(training.__file__).parents[1]
SETTINGS = [
    *("--dataset", "digits", "--copies", "1", "--difficulty", "0.2", "--max-train-rows", "64"),
    *("--models", "resnet8x0.5", "--members", "2", "--batch-size", "8", "--device", "cpu", "--lr", "0.02"),
]
FOREVER = ("--epochs", "1000000")
INTERRUPTED = "error: interrupted; what has been begun can be gone on with by --resume\n"
START_S = 180
END_S = 30


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
        time.sleep(0.02)


def is_gone(pids):
    return all(_parent(pid) is None for pid in pids)


@pytest.fixture
def begin(tmp_path):
    """Begins a training that saves ten times a second; nothing of it outlives the test."""
    begun = []

    def begin(*settings):
        out = ("--jobs", "2", "--checkpoint-seconds", "0.1", "--out", str(tmp_path / "run"))
        command = [sys.executable, "-m", "training", *SETTINGS, *settings, *out]
        process = subprocess.Popen(
            command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        begun.append(process)
        checkpoints = [tmp_path / "run.partial" / f"member-{index}" / NAME for index in (0, 1)]
        wait_until(lambda: process.poll() is not None or all(path.exists() for path in checkpoints), START_S)
        assert process.poll() is None, process.communicate()
        process.workers = workers(process.pid)
        assert len(process.workers) == 2
        return process

    yield begin
    for process in begun:
        for pid in (process.pid, *process.workers):
            if _parent(pid) is not None:
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def test_ctrl_c_ends_it_cleanly_and_it_is_gone_on_with_bit_for_bit(begin, tmp_path):
    """Two processes side by side, and then none besides this one, make what this one makes undisturbed."""
    settings = ("--epochs", "40")
    trainer = begin(*settings)
    began = time.monotonic()
    # As a terminal does: to all of its processes at once.
    os.killpg(trainer.pid, signal.SIGINT)
    _, printed = trainer.communicate(timeout=END_S)
    assert time.monotonic() - began < END_S
    progress = [line for line in printed.splitlines(keepends=True) if not line.startswith("member-")]
    assert (trainer.returncode, progress) == (130, [INTERRUPTED])
    assert is_gone(trainer.workers)
    folders = [tmp_path / "run.partial" / f"member-{index}" for index in (0, 1)]
    # Broken off, and not waited for.
    assert all(0 < updates_saved(path) < 40 * 8 for path in folders)
    assert [path.name for path in tmp_path.iterdir()] == ["run.partial"]

    assert main(["--resume", "--jobs", "1", "--out", str(tmp_path / "run")]) == 0
    assert main([*SETTINGS, *settings, "--jobs", "1", "--out", str(tmp_path / "whole")]) == 0
    for index in (0, 1):
        assert_equal_members(tmp_path / "run" / f"member-{index}", tmp_path / "whole" / f"member-{index}")


def test_asked_twice_it_ends_at_once(begin, tmp_path):
    """A worker that can't heed would be waited for; asked again nothing is waited for."""
    trainer = begin(*FOREVER)
    os.kill(trainer.workers[0], signal.SIGSTOP)
    trainer.send_signal(signal.SIGTERM)
    # The other one heeds meanwhile.
    wait_until(lambda: is_gone(trainer.workers[1:]), END_S)
    assert trainer.poll() is None
    trainer.send_signal(signal.SIGTERM)
    _, printed = trainer.communicate(timeout=END_S)
    assert (trainer.returncode, printed) == (130, INTERRUPTED)
    assert is_gone(trainer.workers)
    assert (tmp_path / "run.partial" / "run.json").is_file()


def test_workers_do_not_outlive_a_killed_trainer(begin):
    trainer = begin(*FOREVER)
    trainer.kill()
    wait_until(lambda: is_gone(trainer.workers), END_S)
