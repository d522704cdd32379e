"""A server in an environment and a session of its own, of which nothing outlives the block."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from serving.end_with_parent import ending_with_parent

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
START_S = 120.0
STOP_S = 10.0
LOOK_EVERY_S = 0.05


@contextmanager
def peer_process(
    command: list[str], environment: Mapping[str, str], port: int, log: Path, ready: str, times: int = 1
) -> Iterator[int]:
    """The process id of its leader, once `ready` stands `times` times in its output, which `log` gets, and it
    listens on `port`."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            ending_with_parent(command),
            cwd=log.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until(process, log, lambda: log.read_bytes().count(ready.encode()) >= times)
        _wait_until(process, log, lambda: _listens(port))
        yield process.pid
    finally:
        _stop(process)


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _wait_until(process: "subprocess.Popen[bytes]", log: Path, is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + START_S
    while not is_so():
        if process.poll() is not None or time.monotonic() > deadline_s:
            lines = log.read_text(errors="replace").splitlines()[-40:]
            raise RuntimeError("\n".join([f"{process.args!r} did not start", *lines]))
        time.sleep(LOOK_EVERY_S)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Asked first; what is left of its session after the grace period is killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    for pid in _session(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _session(leader: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(ProcessLookupError):
                if os.getsid(int(entry.name)) == leader:
                    members.append(int(entry.name))
    return members
