"""A server to measure: `python -m serving` in a process of its own, and the CPU time that it spends."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(r"ready: http://(\S+) grpc://(\S+)")


@dataclass(frozen=True)
class Resources:
    """What a process holds: resident memory, open file descriptors, threads."""

    rss_bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class MeasuredServer:
    """`http` and `grpc` are HOST:PORT."""

    pid: int
    http: str
    grpc: str

    def cpu_s(self) -> float:
        """User and system seconds of the process so far, all threads."""
        return _cpu_s(_stat(Path(f"/proc/{self.pid}")))

    def resources(self) -> Resources:
        process = Path(f"/proc/{self.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return Resources(
            rss_bytes=int(status["VmRSS"].split()[0]) * 1024,
            descriptors=len(list((process / "fd").iterdir())),
            threads=int(status["Threads"]),
        )

    def executed_rows(self) -> dict[str, int]:
        """Rows that the cascade and each member have executed so far."""
        with urllib.request.urlopen(f"http://{self.http}/v2/models/stats") as answer:
            models = json.load(answer)["model_stats"]
        return {model["name"]: int(model["inference_count"]) for model in models}


def session_cpu_s(leader: int) -> float:
    """Seconds of all processes alive in the session that `leader` leads."""
    total = 0.0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = _stat(process)
                total += _cpu_s(fields) if int(fields[3]) == leader else 0.0
    return total


def _stat(process: Path) -> list[str]:
    """The fields of /proc/PID/stat from the third on."""
    return (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _cpu_s(fields: list[str]) -> float:
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def measured_server(
    repository: Path, *arguments: str, module: str = "serving", own_session: bool = False
) -> Iterator[MeasuredServer]:
    """A server that is ready, told to drain at the end. `module` starts it in place of `serving`."""
    command = [
        sys.executable,
        "-m",
        module,
        str(repository),
        "--http-port",
        "0",
        "--grpc-port",
        "0",
        *arguments,
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=own_session,
    )
    try:
        assert process.stdout is not None
        found = next((match for line in process.stdout if (match := READY.search(line))), None)
        if found is None:
            sys.exit("the server did not start")
        yield MeasuredServer(process.pid, found[1], found[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
