"""Settings, one frozen dataclass a component. Each checks itself and names field and value."""

import ipaddress
import math
import os
from dataclasses import dataclass, field, fields
from pathlib import Path

from serving.errors import StartupError
from serving.trace_endpoint import PLAIN_URL, is_plain_url


class BadSetting(StartupError):
    """A field holds what it must not. Apart, so that whoever knows where the value came from can say so."""

    def __init__(self, name: str, value: object, expected: str, place: str | None = None) -> None:
        shown = str(value) if isinstance(value, Path) else value
        super().__init__(f"{place or name} is {shown!r}; it must be {expected}")
        self.name = name
        self.value = value
        self.expected = expected


def require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise BadSetting(name, value, expected)


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
        require(self.max_body_bytes > 0, "max_body_bytes", self.max_body_bytes, "positive")
        require(self.max_json_bytes > 0, "max_json_bytes", self.max_json_bytes, "positive")
        require(self.max_request_rows > 0, "max_request_rows", self.max_request_rows, "positive")


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
        require(self.num_threads > 0, "num_threads", self.num_threads, "positive")
        known = ", ".join(PROVIDERS)
        require(self.accelerator in PROVIDERS, "accelerator", self.accelerator, f"one of {known}")


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
        require(self.max_queue_s > 0, "max_queue_s", self.max_queue_s, "positive")
        require(self.max_queue_bytes > 0, "max_queue_bytes", self.max_queue_bytes, "positive")
        require(self.num_workers > 0, "num_workers", self.num_workers, "positive")
        require(self.max_batch_rows > 0, "max_batch_rows", self.max_batch_rows, "positive")


@dataclass(frozen=True, kw_only=True)
class BreakerConfig:
    """When a member is left out. A batch has failed where the member did, or took longer than `slow_s` (a
    call to another process `slow_call_s`) and than `slow_factor` times what is expected of it. After
    `most_failures` in a row, or half of a second's batches, nothing is sent to it but, after `retry_s` and
    then twice as long each time up to `max_retry_s`, one batch that tries it.
    """

    slow_s: float = 2.0
    slow_call_s: float = 0.25
    slow_factor: float = 5.0
    most_failures: int = 3
    retry_s: float = 0.5
    max_retry_s: float = 4.0

    def __post_init__(self) -> None:
        for name in ("slow_s", "slow_call_s", "slow_factor", "most_failures", "retry_s", "max_retry_s"):
            require(getattr(self, name) > 0, name, getattr(self, name), "positive")


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """The share of rows that all members are asked about, some `gather_rows` together, or those of
    `gather_s`. Beyond `max_waiting_rows`, and after `max_wait_s`, they are given up: counted as missing."""

    share: float = 0.0
    gather_rows: int = 32
    gather_s: float = 0.5
    max_waiting_rows: int = 1024
    max_wait_s: float = 30.0

    def __post_init__(self) -> None:
        require(0 <= self.share <= 1, "share", self.share, "from 0 to 1")
        for name in ("max_waiting_rows", "max_wait_s", "gather_rows", "gather_s"):
            require(getattr(self, name) > 0, name, getattr(self, name), "positive")


@dataclass(frozen=True, kw_only=True)
class RuntimeChoice:
    """What was asked for of how members are run; None leaves it to the cascade files and the defaults."""

    num_workers: int | None = None
    num_threads: int | None = None
    is_spinning: bool | None = None
    max_batch_rows: int | None = None
    slow_batch_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("num_workers", "num_threads", "max_batch_rows", "slow_batch_s"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "positive")


BACKENDS = ("embedded", "triton")


@dataclass(frozen=True, kw_only=True)
class BackendConfig:
    """Where members run: in this process, or in Triton, at addresses or started here. Of a cascade in Triton
    the first `embed_stages` run in this process all the same, so that there is an answer whatever becomes of
    Triton. Times and TLS are those of calls to it."""

    backend: str = "embedded"
    triton_url: str | None = None
    start_triton: bool = False
    embed_stages: int = 0
    triton_log: Path | None = None
    triton_shared_memory: bool = False
    triton_timeout_s: float = 10.0
    triton_tls_ca: Path | None = None
    triton_tls_cert: Path | None = None
    triton_tls_key: Path | None = None
    triton_tls_name: str | None = None

    def __post_init__(self) -> None:
        require(self.backend in BACKENDS, "backend", self.backend, f"one of {', '.join(BACKENDS)}")
        require(0 < self.triton_timeout_s < math.inf, "triton_timeout_s", self.triton_timeout_s, "positive")
        require(self.embed_stages >= 0, "embed_stages", self.embed_stages, "0 or more")
        if not self.is_triton:
            self._require_no_triton()
        elif (self.triton_url is None) != self.start_triton:
            expected = "triton with either --triton-url or --start-triton"
            raise BadSetting("backend", self.backend, expected)
        for name in ("triton_tls_ca", "triton_tls_cert", "triton_tls_name"):
            value = getattr(self, name)
            require(value is None or not self.start_triton, name, value, "left out with --start-triton")
        has_log = self.triton_log is not None
        require(not has_log or self.start_triton, "triton_log", self.triton_log, "given with --start-triton")

    def _require_no_triton(self) -> None:
        for one in fields(self):
            is_given = one.name != "backend" and getattr(self, one.name) != one.default
            require(not is_given, one.name, getattr(self, one.name), "given with --backend triton")

    @property
    def is_triton(self) -> bool:
        return self.backend == "triton"


@dataclass(frozen=True, kw_only=True)
class SafetyConfig:
    """Who may ask, and how it is kept from others. `insecure` lets anybody ask who reaches the server."""

    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        has_cert, has_key = self.tls_cert is not None, self.tls_key is not None
        require(has_key or not has_cert, "tls_cert", self.tls_cert, "given together with --tls-key")
        require(has_cert or not has_key, "tls_key", self.tls_key, "given together with --tls-cert")
        needs_cert = self.tls_client_ca is not None
        require(has_cert or not needs_cert, "tls_client_ca", self.tls_client_ca, "given with --tls-cert")

    @property
    def knows_clients(self) -> bool:
        return self.token_file is not None or self.tls_client_ca is not None


LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    format: str = "text"

    def __post_init__(self) -> None:
        require(self.format in LOG_FORMATS, "format", self.format, f"one of {', '.join(LOG_FORMATS)}")


@dataclass(frozen=True, kw_only=True)
class TraceConfig:
    """Where traces go, and which share of the requests is traced whose callers do not say."""

    otlp_endpoint: str | None = None
    trace_share: float = 1.0

    def __post_init__(self) -> None:
        endpoint, share = self.otlp_endpoint, self.trace_share
        require(endpoint is None or is_plain_url(endpoint), "otlp_endpoint", endpoint, PLAIN_URL)
        require(0 <= share <= 1, "trace_share", share, "from 0 to 1")
        require(self.is_on or share == 1.0, "trace_share", share, "given with --otlp-endpoint")

    @property
    def is_on(self) -> bool:
        return self.otlp_endpoint is not None


@dataclass(frozen=True, kw_only=True)
class DecisionLogConfig:
    """None is kept without a `folder`. A file of it has `max_file_rows` rows, or those of `max_file_s`."""

    folder: Path | None = None
    max_file_rows: int = 2**19
    max_file_s: float = 60.0

    def __post_init__(self) -> None:
        require(self.max_file_rows > 0, "max_file_rows", self.max_file_rows, "positive")
        require(0 < self.max_file_s < math.inf, "max_file_s", self.max_file_s, "positive, and finite")


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where the server listens and what it serves. Port 0 takes any free one. Of several processes, process k
    (from 1) answers HTTP at port `own_ports + k - 1` too, alone."""

    repository: Path
    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    num_processes: int = 1
    own_ports: int | None = None
    grace_s: float = 30.0
    reload_s: float = 1.0
    allow_model_control: bool = False
    allow_shared_memory: bool = False
    console_samples: Path | None = None
    runtime: RuntimeChoice = field(default_factory=RuntimeChoice)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    session: SessionConfig = field(default_factory=SessionConfig)
    limits: Limits = field(default_factory=Limits)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    log: LogConfig = field(default_factory=LogConfig)
    decision_log: DecisionLogConfig = field(default_factory=DecisionLogConfig)
    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    backend: BackendConfig = field(default_factory=BackendConfig)
    traces: TraceConfig = field(default_factory=TraceConfig)

    def __post_init__(self) -> None:
        for name in ("http_port", "grpc_port"):
            require(0 <= getattr(self, name) <= 65535, name, getattr(self, name), "a port, 0 to 65535")
        for name in ("grace_s", "reload_s"):
            require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "0 or more, and finite")
        same = self.http_port == self.grpc_port != 0
        require(not same, "grpc_port", self.grpc_port, "another than the HTTP port")
        is_safe = is_loopback(self.host) or self.safety.knows_clients or self.safety.insecure
        require(is_safe, "host", self.host, SAFE_HOST)
        self._require_processes()

    def _require_processes(self) -> None:
        """What clients change would reach one of them only."""
        number, first = self.num_processes, self.own_ports
        require(number > 0, "num_processes", number, "positive")
        if number == 1:
            require(first is None, "own_ports", first, "given with --processes of 2 or more")
            return
        require(self.backend.is_triton, "num_processes", number, PROCESSES)
        for name in ("allow_model_control", "allow_shared_memory"):
            require(not getattr(self, name), name, getattr(self, name), "off with --processes of 2 or more")
        if first is not None:
            own = range(first, first + number)
            fits = 0 < first <= 65536 - number and not {self.http_port, self.grpc_port} & {*own}
            require(fits, "own_ports", first, f"the first of {number} ports, none of them the server's")


PROCESSES = "1 without --backend triton: each process would hold all members, and threads for them"
SAFE_HOST = "a loopback address, unless --token-file, --tls-client-ca or --insecure is given"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
