"""Exitgate as a peer of the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import onnxruntime

from benchmarks.peers.system import Running, System
from benchmarks.peers.wire import KServeWire
from benchmarks.peers.workload import MODEL, Workload
from benchmarks.server_process import measured_server


@dataclass(frozen=True, kw_only=True)
class ExitgateSetting:
    """By itself it takes a worker of one thread for each core."""

    workers: int = 2
    threads: int = 1


@contextmanager
def _start(workload: Workload, setting: ExitgateSetting) -> Iterator[Running]:
    arguments = ("--workers", str(setting.workers), "--threads", str(setting.threads))
    with measured_server(workload.repository, *arguments, own_session=True) as server:
        yield Running(server.pid, {"http": server.http, "grpc": server.grpc})


EXITGATE = System(
    name="Exitgate",
    wire=KServeWire(MODEL),
    default=ExitgateSetting(),
    grid=({"workers": (1, 2), "threads": (1, 2)},),
    start=_start,
    versions=lambda: {"onnxruntime": onnxruntime.__version__},
)
