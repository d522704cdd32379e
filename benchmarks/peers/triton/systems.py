"""Triton twice: a BLS model written by hand, and an ensemble, which runs both members on every row."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from benchmarks.peers.system import Running, System
from benchmarks.peers.triton.ensemble import ENSEMBLE, EnsembleSetting, write_ensemble
from benchmarks.peers.wire import KServeWire
from benchmarks.peers.workload import Workload
from benchmarks.triton_repository import BLS, Tuning, write_triton_repository
from serving.triton.bundled import QUICK, triton
from serving.triton.installation import PACKAGES

TRITON = "2.51"
"""Of the wheel's server; no file of the wheel names it."""


@contextmanager
def _start_bls(workload: Workload, setting: Tuning) -> Iterator[Running]:
    def write(path: Path) -> None:
        write_triton_repository(path, workload.repository, workload.cascade, workload.threshold, setting)

    with _served(workload, write) as running:
        yield running


@contextmanager
def _start_ensemble(workload: Workload, setting: EnsembleSetting) -> Iterator[Running]:
    def write(path: Path) -> None:
        write_ensemble(path, workload.repository, workload.cascade, workload.threshold, setting)

    with _served(workload, write) as running:
        yield running


@contextmanager
def _served(workload: Workload, write: Callable[[Path], None]) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(dir=workload.folder) as path:
        repository = Path(path) / "triton"
        write(repository)
        with triton(repository, QUICK, log=workload.folder / "triton.log") as server:
            yield Running(server.process.pid, {"http": server.http, "grpc": server.grpc})


def _versions() -> Mapping[str, str]:
    """Of what its environment holds."""
    found = {
        package: next(iter(metadata.distributions(name=package, path=[str(PACKAGES)]))).version
        for package in ("nvidia-pytriton", "onnxruntime", "numpy")
    }
    return {"triton": TRITON, **found}


TRITON_BLS = System(
    name="Triton BLS",
    wire=KServeWire(BLS),
    default=Tuning(),
    grid=(
        {"variant": ("sync", "async", "async_each"), "bls_instances": (1, 2, 4)},
        {"member_instances": (1, 2), "member_threads": (1, 2)},
        {"bls_delay_us": (0, 1000, 5000)},
        {"bls_max_batch": (32, 64)},
    ),
    start=_start_bls,
    versions=_versions,
)

TRITON_ENSEMBLE = System(
    name="Triton ensemble (always both)",
    wire=KServeWire(ENSEMBLE),
    default=EnsembleSetting(),
    grid=(
        {"member_instances": (1, 2), "member_threads": (1, 2)},
        {"member_delay_us": (0, 1000, 5000)},
        {"gate_instances": (1, 2)},
    ),
    start=_start_ensemble,
    versions=_versions,
)
