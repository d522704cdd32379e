"""The FastAPI application under uvicorn, as a server to measure."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from benchmarks.peers.environments import FASTAPI
from benchmarks.peers.fastapi_app.setting import FastapiSetting
from benchmarks.peers.peer_process import HOST, free_port, peer_process
from benchmarks.peers.system import Running, System
from benchmarks.peers.wire import BodyWire
from benchmarks.peers.workload import Workload

READY = "Application startup complete."
"""Uvicorn's line, once for each process."""

OPTIONS = ("--no-access-log", "--loop", "uvloop", "--http", "httptools")
PACKAGES = ("fastapi", "uvicorn", "onnxruntime", "numpy")


@contextmanager
def _start(workload: Workload, setting: FastapiSetting) -> Iterator[Running]:
    port = free_port()
    where = ("--host", HOST, "--port", str(port), "--workers", str(setting.processes))
    application = "benchmarks.peers.fastapi_app.app:app"
    command = [str(FASTAPI.python), "-m", "uvicorn", application, *where, *OPTIONS]
    environment = workload.assignment(port, asdict(setting)).environment()
    log = workload.folder / "fastapi.log"
    with peer_process(command, environment, port, log, READY, setting.processes) as leader:
        yield Running(leader, {"http": f"{HOST}:{port}"})


FASTAPI_APP = System(
    name="FastAPI",
    wire=BodyWire("/predict"),
    default=FastapiSetting(),
    grid=(
        {"variant": ("whole", "each"), "processes": (1, 2), "in_flight": (1, 2)},
        {"threads": (1, 2)},
        {"wait_s": (0.0, 0.001, 0.005)},
        {"max_batch": (32, 64)},
    ),
    start=_start,
    versions=lambda: {package: FASTAPI.version(package) for package in PACKAGES},
)
