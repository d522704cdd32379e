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
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.triton.installation import FOLDER, PACKAGES, PYTHON, TRITON, libpython_folder

HOST = "127.0.0.1"
QUICK = "--disable-auto-complete-config"
"""For repositories whose configurations are complete: Triton then starts each model once, and not twice."""

START_S = 60.0
STOP_S = 10.0
TRIES = 3
SHARED_MEMORY = Path("/dev/shm")
counter = itertools.count()


@dataclass(frozen=True, kw_only=True)
class TritonServer:
    """A running server; `http` and `grpc` are HOST:PORT."""

    process: "subprocess.Popen[bytes]"
    http_port: int
    grpc_port: int
    log: Path

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


class TritonDidNotStart(Exception):
    """It ended, or was not ready in time; with the end of its log."""


class PortTaken(TritonDidNotStart):
    """Somebody took a port between our look and its start."""


@contextmanager
def triton(repository: Path, *arguments: str, log: Path, start_s: float = START_S) -> Iterator[TritonServer]:
    """A server that is ready, with `arguments` such as `--model-control-mode=explicit` added to its own.

    Its output goes to the file `log`. Nothing of it outlives the block: no process, no shared memory, no
    temporary folder.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exitgate-triton-")))
        _lay_out_backend(folder / "python")
        command = [*_command(repository.resolve(), folder), *arguments]
        yield _start(lambda: _ready(command, folder, log, start_s), stack)


def _start(attempt: Callable[[], AbstractContextManager[TritonServer]], stack: ExitStack) -> TritonServer:
    for _ in range(TRIES - 1):
        with suppress(PortTaken):
            return stack.enter_context(attempt())
    return stack.enter_context(attempt())


def _lay_out_backend(folder: Path) -> None:
    """The wheel keeps one stub per Python apart; the backend wants the right one beside it."""
    folder.mkdir()
    for file in (TRITON / "backends" / "python").iterdir():
        if file.is_file():
            (folder / file.name).symlink_to(file)
    stub = folder / "triton_python_backend_stub"
    shutil.copyfile(TRITON / "python_backend_stubs" / PYTHON / stub.name, stub)
    stub.chmod(0o755)


def _command(repository: Path, backends: Path) -> list[str]:
    return [
        str(TRITON / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        f"--http-address={HOST}",
        f"--grpc-address={HOST}",
        "--allow-metrics=false",
        "--allow-gpu-metrics=false",
        "--exit-timeout-secs=5",
    ]


def _environment() -> dict[str, str]:
    """Nothing of the tests' own packages: this Triton reads wrong values from NumPy 2, without an error.

    The stub finds its packages by the first `python3` on the path.
    """
    return {
        "PATH": f"{FOLDER / 'bin'}:{os.defpath}",
        "LD_LIBRARY_PATH": f"{PACKAGES / 'nvidia_pytriton.libs'}:{libpython_folder()}",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextmanager
def _ready(command: list[str], folder: Path, log: Path, start_s: float) -> Iterator[TritonServer]:
    http_port, grpc_port = _free_ports(2)
    region = f"exitgate-{os.getpid()}-{next(counter)}-"
    own = [
        f"--http-port={http_port}",
        f"--grpc-port={grpc_port}",
        f"--backend-config=python,shm-region-prefix-name={region}",
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, *own],
            cwd=folder,  # Python imports from where it is started
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = TritonServer(process=process, http_port=http_port, grpc_port=grpc_port, log=log)
        _wait_until_ready(server, start_s)
        yield server
    finally:
        _stop(process)
        for leftover in SHARED_MEMORY.glob(f"{region}*"):
            leftover.unlink(missing_ok=True)


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


def _wait_until_ready(server: TritonServer, start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while server.process.poll() is None:
        if server.is_ready() and server.process.poll() is None:
            return
        if time.monotonic() > deadline:
            raise TritonDidNotStart(f"Triton was not ready after {start_s:g} s\n{_tail(server.log)}")
        time.sleep(0.05)
    tail = _tail(server.log)
    kind = PortTaken if "in use" in tail.lower() else TritonDidNotStart
    raise kind(f"Triton ended with {server.process.returncode}\n{tail}")


def _tail(log: Path, lines: int = 40) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
