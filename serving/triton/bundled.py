"""A real Triton on loopback: the server of nvidia-pytriton's wheel, on CPU, with its Python backend only.

with triton(repository, log=tmp_path / "triton.log") as server:
    client = tritonclient.grpc.InferenceServerClient(server.grpc)
"""

import http.client
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from serving.end_with_parent import ending_with_parent
from serving.errors import StartupError
from serving.triton.installation import FOLDER, PACKAGES, PYTHON, TRITON, libpython_folder

HOST = "127.0.0.1"
QUICK = "--disable-auto-complete-config"
"""For repositories whose configurations are complete: Triton then starts each model once, and not twice."""

START_S = 60.0
STOP_S = 10.0
TRIES = 3
LOOK_EVERY_S = 0.05
SHARED_MEMORY = Path("/dev/shm")
counter = itertools.count()


@dataclass(frozen=True, kw_only=True)
class TritonServer:
    """A running server; `http` and `grpc` are HOST:PORT. Its own lines in `log` begin at `log_begin`."""

    process: "subprocess.Popen[bytes]"
    http_port: int
    grpc_port: int
    log: Path
    log_begin: int = 0

    @property
    def http(self) -> str:
        return f"{HOST}:{self.http_port}"

    @property
    def grpc(self) -> str:
        return f"{HOST}:{self.grpc_port}"

    def is_ready(self) -> bool:
        """Whether all models are loaded; with explicit control, whether the server is up."""
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=5)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def last_lines(self, number: int = 40) -> str:
        with self.log.open("rb") as file:
            file.seek(self.log_begin)
            return "\n".join(file.read().decode(errors="replace").splitlines()[-number:])


class TritonDidNotStart(StartupError):
    """It ended, or was not ready in time; with the end of its log."""


class PortTaken(TritonDidNotStart):
    """Somebody took a port between our look and its start."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What it takes to start one, any number of times. `folder` holds its backend, and is where it runs."""

    command: list[str]
    folder: Path
    log: Path
    stopping: threading.Event = field(default_factory=threading.Event)


@contextmanager
def triton(repository: Path, *arguments: str, log: Path) -> Iterator[TritonServer]:
    """A server that is ready, with `arguments` such as `--model-control-mode=explicit` added to its own.

    Its output goes to the end of the file `log`. Nothing of it outlives the block: no process, no shared
    memory, no temporary folder.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(laid_out())
        launch = Launch(command=command(repository, folder, arguments), folder=folder, log=log)
        yield start(lambda ports: running(launch, ports), stack)


def start(
    attempt: Callable[[list[int]], AbstractContextManager[TritonServer]], stack: ExitStack
) -> TritonServer:
    """On free ports; others where somebody was quicker."""
    for _ in range(TRIES - 1):
        with suppress(PortTaken):
            return stack.enter_context(attempt(_free_ports(2)))
    return stack.enter_context(attempt(_free_ports(2)))


@contextmanager
def laid_out() -> Iterator[Path]:
    """A folder of backends. The wheel keeps one stub per Python apart; the backend wants the right one
    beside it."""
    with tempfile.TemporaryDirectory(prefix="exitgate-triton-") as name:
        folder = Path(name)
        backend = folder / "python"
        backend.mkdir()
        for file in (TRITON / "backends" / "python").iterdir():
            if file.is_file():
                (backend / file.name).symlink_to(file)
        stub = backend / "triton_python_backend_stub"
        shutil.copyfile(TRITON / "python_backend_stubs" / PYTHON / stub.name, stub)
        stub.chmod(0o755)
        yield folder


def command(repository: Path, backends: Path, arguments: Iterable[str]) -> list[str]:
    server = [
        str(TRITON / "bin" / "tritonserver"),
        f"--model-repository={repository.resolve()}",
        f"--backend-directory={backends}",
        f"--http-address={HOST}",
        f"--grpc-address={HOST}",
        "--allow-metrics=false",
        "--allow-gpu-metrics=false",
        "--exit-timeout-secs=5",
        *arguments,
    ]
    return ending_with_parent(server)


def _environment() -> dict[str, str]:
    """Nothing of our own packages: this Triton reads wrong values from NumPy 2, without an error.

    The stub finds its packages by the first `python3` on the path.
    """
    return {
        "PATH": f"{FOLDER / 'bin'}:{os.defpath}",
        "LD_LIBRARY_PATH": f"{PACKAGES / 'nvidia_pytriton.libs'}:{libpython_folder()}",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextmanager
def running(launch: Launch, ports: list[int]) -> Iterator[TritonServer]:
    """On these ports, HTTP and gRPC, ready."""
    http_port, grpc_port = ports
    region = f"exitgate-{os.getpid()}-{next(counter)}-"
    own = [
        f"--http-port={http_port}",
        f"--grpc-port={grpc_port}",
        f"--backend-config=python,shm-region-prefix-name={region}",
    ]
    with _opened(launch.log) as file:
        begin = file.tell()
        process = subprocess.Popen(
            [*launch.command, *own],
            cwd=launch.folder,  # Python imports from where it is started
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = TritonServer(
            process=process, http_port=http_port, grpc_port=grpc_port, log=launch.log, log_begin=begin
        )
        _wait_until_ready(server, launch)
        yield server
    finally:
        _stop(process)
        for leftover in SHARED_MEMORY.glob(f"{region}*"):
            leftover.unlink(missing_ok=True)


def _opened(log: Path) -> BinaryIO:
    try:
        return log.open("ab")
    except OSError as error:
        raise StartupError(f"{log}: {error.strerror}") from None


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Asked first; what is left of the group after the grace period is killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_until_ready(server: TritonServer, launch: Launch) -> None:
    deadline_s = time.monotonic() + START_S
    while server.process.poll() is None:
        if server.is_ready() and server.process.poll() is None:
            return
        if time.monotonic() > deadline_s:
            raise TritonDidNotStart(f"Triton was not ready after {START_S:g} s\n{server.last_lines()}")
        if launch.stopping.wait(LOOK_EVERY_S):
            raise TritonDidNotStart("Triton was stopped before it was ready")
    tail = server.last_lines()
    kind = PortTaken if "in use" in tail.lower() else TritonDidNotStart
    raise kind(f"Triton ended with {server.process.returncode}\n{tail}")
