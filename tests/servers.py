"""Real servers for tests: `python -m serving` in a process of its own, on free ports of loopback."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(r"ready: https?://(\S+) grpcs?://(\S+)")
START_S = 60.0


@dataclass
class Server:
    """A running server; `http` and `grpc` are HOST:PORT."""

    process: "subprocess.Popen[str]"
    http: str = ""
    grpc: str = ""
    output: list[str] = field(default_factory=list)

    def terminate(self) -> int:
        """SIGTERM, and the exit code once it has drained."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def launch(repository: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "serving", str(repository), *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )


@contextmanager
def serving(repository: Path, *arguments: str) -> Iterator[Server]:
    """A server that is ready; it is stopped, and its output drained, at the end."""
    process = launch(repository, "--http-port", "0", "--grpc-port", "0", *arguments)
    server = Server(process)
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            server.output.append(line)
            if found := READY.search(line):
                server.http, server.grpc = found.groups()
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(START_S), "the server did not start in time"
        assert server.http, "".join(server.output)
        yield server
    finally:
        server.terminate()
        reader.join(timeout=5)
        if process.stdout is not None:
            process.stdout.close()
