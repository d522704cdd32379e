"""Processes of a Triton, and what it leaves behind, if anything."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from serving.triton.bundled import SHARED_MEMORY

PATIENCE_S = 60.0


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def shared_memory() -> set[Path]:
    """Of the servers that this process has started."""
    return set(SHARED_MEMORY.glob(f"exitgate-{os.getpid()}-*"))


def group(leader: int) -> list[int]:
    """Living processes of a process group."""
    members = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, number = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(number) == leader and state != "Z":
            members.append(int(status.parent.name))
    return members


def stop_process(number: int) -> None:
    """SIGSTOP, and wait until all its threads have."""
    os.kill(number, signal.SIGSTOP)
    deadline_s = time.monotonic() + 30
    for status in Path(f"/proc/{number}/task").glob("*/stat"):
        while status.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline_s
            time.sleep(0.01)


def child(parent: int, name: str) -> int:
    """The child process whose command has that in it; there must be one."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            number = status.read_text().rpartition(")")[2].split()[1]
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(number) == parent and name.encode() in command:
            found.append(int(status.parent.name))
    (only,) = found
    return only
