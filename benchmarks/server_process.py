"""A server to measure: `python -m serving` in a process of its own, and the CPU time that it spends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(r"ready: http://(\S+) grpc://(\S+)")


@dataclass(frozen=True)
class MeasuredServer:
    """`http` and `grpc` are HOST:PORT."""

    pid: int
    http: str
    grpc: str

    def cpu_s(self) -> float:
        """User and system seconds of the process so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def measured_server(repository: Path, *arguments: str) -> Iterator[MeasuredServer]:
    """A server that is ready, told to drain at the end."""
    command = [
        sys.executable,
        "-m",
        "serving",
        str(repository),
        "--http-port",
        "0",
        "--grpc-port",
        "0",
        *arguments,
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
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
