"""Settings, one frozen dataclass a component. Each checks itself and names field and value."""

import ipaddress
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from serving.errors import StartupError


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise StartupError(f"{name} is {value!r}; it must be {expected}")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may ask for, checked before memory is taken.

    JSON (and gRPC's typed contents) is bounded more tightly than raw tensors: while it is parsed, everybody
    waits.
    """

    max_body_bytes: int = 64 * 2**20
    max_json_bytes: int = 8 * 2**20
    max_request_rows: int = 4096

    def __post_init__(self) -> None:
        _require(self.max_body_bytes > 0, "max_body_bytes", self.max_body_bytes, "positive")
        _require(self.max_json_bytes > 0, "max_json_bytes", self.max_json_bytes, "positive")
        _require(self.max_request_rows > 0, "max_request_rows", self.max_request_rows, "positive")


PROVIDERS = {
    "none": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""ONNX Runtime's, the preferred first; the later ones take what these do not run."""


@dataclass(frozen=True, kw_only=True)
class SessionConfig:
    """How ONNX Runtime runs one batch: on `num_threads` threads, which spin or sleep between operators, and
    on which device."""

    num_threads: int = 1
    is_spinning: bool = False
    accelerator: str = "none"

    def __post_init__(self) -> None:
        _require(self.num_threads > 0, "num_threads", self.num_threads, "positive")
        known = ", ".join(PROVIDERS)
        _require(self.accelerator in PROVIDERS, "accelerator", self.accelerator, f"one of {known}")


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """How batches form, and how much work may wait.

    `num_workers` batches run at once, by default on one ONNX Runtime thread each: on CPUs parallel batches
    mostly beat parallel operators.
    A request is refused where the work before it would take longer than `max_queue_s`, or the inputs that
    are held would be more than `max_queue_bytes`.
    """

    num_workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    max_batch_rows: int = 32
    max_queue_s: float = 10.0
    max_queue_bytes: int = 2**30

    def __post_init__(self) -> None:
        _require(self.max_queue_s > 0, "max_queue_s", self.max_queue_s, "positive")
        _require(self.max_queue_bytes > 0, "max_queue_bytes", self.max_queue_bytes, "positive")
        _require(self.num_workers > 0, "num_workers", self.num_workers, "positive")
        _require(self.max_batch_rows > 0, "max_batch_rows", self.max_batch_rows, "positive")


@dataclass(frozen=True, kw_only=True)
class BreakerConfig:
    """When a member is left out. A batch has failed where the member did, or took longer than `slow_s` and
    than `slow_factor` times what is expected of it. After `most_failures` in a row, or half of a second's
    batches, nothing is sent to it but, after `retry_s` and then twice as long each time up to `max_retry_s`,
    one batch that tries it.
    """

    slow_s: float = 2.0
    slow_factor: float = 5.0
    most_failures: int = 3
    retry_s: float = 0.5
    max_retry_s: float = 4.0

    def __post_init__(self) -> None:
        for name in ("slow_s", "slow_factor", "most_failures", "retry_s", "max_retry_s"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "positive")


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """The share of rows that all members are asked about. Beyond `max_waiting_rows`, and after `max_wait_s`,
    they are given up, and counted as missing."""

    share: float = 0.0
    max_waiting_rows: int = 1024
    max_wait_s: float = 30.0

    def __post_init__(self) -> None:
        _require(0 <= self.share <= 1, "share", self.share, "from 0 to 1")
        for name in ("max_waiting_rows", "max_wait_s"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "positive")


@dataclass(frozen=True, kw_only=True)
class RuntimeChoice:
    """What was asked for of how members are run; None leaves it to the cascade files and the defaults."""

    num_workers: int | None = None
    num_threads: int | None = None
    is_spinning: bool | None = None
    max_batch_rows: int | None = None

    def __post_init__(self) -> None:
        for name in ("num_workers", "num_threads", "max_batch_rows"):
            value = getattr(self, name)
            _require(value is None or value > 0, name, value, "positive")


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where the server listens and what it serves. Port 0 takes any free one."""

    repository: Path
    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    grace_s: float = 30.0
    allow_remote: bool = False
    allow_model_control: bool = False
    allow_shared_memory: bool = False
    runtime: RuntimeChoice = field(default_factory=RuntimeChoice)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    session: SessionConfig = field(default_factory=SessionConfig)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in ("http_port", "grpc_port"):
            _require(0 <= getattr(self, name) <= 65535, name, getattr(self, name), "a port, 0 to 65535")
        _require(0 <= self.grace_s < math.inf, "grace_s", self.grace_s, "0 or more, and finite")
        same = self.http_port == self.grpc_port != 0
        _require(not same, "grpc_port", self.grpc_port, "another than the HTTP port")
        if not self.allow_remote:
            _require(_is_loopback(self.host), "host", self.host, "a loopback address, or say --allow-remote")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
