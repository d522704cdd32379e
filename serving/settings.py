"""The one table of settings: what each is called, and which field of `serving.config` it fills.

A new setting is a field there, which has the default and the check, and a row here. Its flag, its variable,
its key in a TOML file, `--help`, `--print-config` and the lines at start follow from the row.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from serving.config import (
    AuditConfig,
    BackendConfig,
    BadSetting,
    DecisionLogConfig,
    Limits,
    LogConfig,
    RuntimeChoice,
    SafetyConfig,
    SchedulerConfig,
    ServerConfig,
    SessionConfig,
    TraceConfig,
)
from serving.errors import StartupError

PREFIX = "EXITGATE_"
YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Kind:
    """Of values. `read` takes text, or one of the types that a TOML file may give, and raises ValueError."""

    expected: str
    metavar: str
    toml_types: tuple[type, ...]
    read: Callable[[Any], Any]


def _read_truth(value: str | bool) -> bool:
    text = str(value).lower()
    if text not in (*YES, *NO):
        raise ValueError
    return text in YES


def _read_text(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError
    return value


def _read_path(value: str) -> Path:
    return Path(_read_text(value))


KINDS = {
    bool: Kind("true or false", "", (bool,), _read_truth),
    int: Kind("a whole number", "N", (int,), int),
    float: Kind("a number", "X", (int, float), float),
    str: Kind("text, and not empty", "TEXT", (str,), _read_text),
    Path: Kind("a path", "PATH", (str,), _read_path),
}
LISTENING = "where it listens"
CLIENTS = "what clients may do"
SAFETY = "who may ask"
MEMBERS = "how members are run"
TRITON = "members in Triton"
LIMITS = "how much"
DECISIONS = "the decision log"
GROUPS = {
    LISTENING: "beyond loopback only with tokens, with clients' certificates, or with --insecure",
    CLIENTS: "",
    SAFETY: "",
    MEMBERS: "what is not given is as `export --tune` found it, else as said here",
    TRITON: "with --backend triton",
    LIMITS: "",
    DECISIONS: "what was concluded of every row, for `python -m cascade evaluate --log`",
}


@dataclass(frozen=True)
class Setting:
    """`field` of the dataclass `of`. No two settings fill fields of one name, since errors go by it."""

    name: str
    of: type
    field: str
    help: str
    group: str | None = None
    is_positional: bool = False

    @property
    def flag(self) -> str:
        return self.name.upper() if self.is_positional else f"--{self.name}"

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper().replace("-", "_")

    @property
    def value_type(self) -> type:
        """Of its values, but for the None that some have while they are not given."""
        hint = get_type_hints(self.of)[self.field]
        found: type = next(kind for kind in get_args(hint) or (hint,) if kind is not NoneType)
        return found

    @property
    def kind(self) -> Kind:
        return KINDS[self.value_type]

    @property
    def default(self) -> Any:
        """None where there is none."""
        return getattr(self.of, self.field, None)


SETTINGS = (
    Setting(
        "repository",
        ServerConfig,
        "repository",
        "folder with NAME.cascade.json files and their members",
        is_positional=True,
    ),
    Setting("host", ServerConfig, "host", "address to listen on", LISTENING),
    Setting("http-port", ServerConfig, "http_port", "0 takes a free one", LISTENING),
    Setting("grpc-port", ServerConfig, "grpc_port", "0 takes a free one", LISTENING),
    Setting(
        "own-ports",
        ServerConfig,
        "own_ports",
        "the first of ports, one a process, where each answers HTTP alone: its metrics, its console",
        LISTENING,
    ),
    Setting(
        "allow-model-control",
        ServerConfig,
        "allow_model_control",
        "let clients load and unload cascades, and set the log",
        CLIENTS,
    ),
    Setting(
        "allow-shared-memory",
        ServerConfig,
        "allow_shared_memory",
        "let clients name system shared memory regions",
        CLIENTS,
    ),
    Setting(
        "token-file",
        SafetyConfig,
        "token_file",
        "clients must send one of its tokens, one a line; nobody but its owner may read it",
        SAFETY,
    ),
    Setting("tls-cert", SafetyConfig, "tls_cert", "the server's certificate and its chain, in PEM", SAFETY),
    Setting("tls-key", SafetyConfig, "tls_key", "its key, in PEM and not encrypted", SAFETY),
    Setting(
        "tls-client-ca",
        SafetyConfig,
        "tls_client_ca",
        "clients must show a certificate of one of these authorities, in PEM",
        SAFETY,
    ),
    Setting("insecure", SafetyConfig, "insecure", "let anybody ask who reaches the server", SAFETY),
    Setting("backend", BackendConfig, "backend", "embedded, or triton", MEMBERS),
    Setting("triton-url", BackendConfig, "triton_url", "HOST:PORT of its gRPC, or several, A:P,B:P", TRITON),
    Setting("start-triton", BackendConfig, "start_triton", "start the one of `make triton`", TRITON),
    Setting(
        "embed-stages",
        BackendConfig,
        "embed_stages",
        "so many first stages run in this process all the same",
        TRITON,
    ),
    Setting("processes", ServerConfig, "num_processes", "that share the ports", TRITON),
    Setting("triton-log", BackendConfig, "triton_log", "file for what that one writes", TRITON),
    Setting(
        "triton-shared-memory",
        BackendConfig,
        "triton_shared_memory",
        "large tensors go through that of this machine",
        TRITON,
    ),
    Setting("triton-timeout-seconds", BackendConfig, "triton_timeout_s", "of a call, at the most", TRITON),
    Setting("triton-tls-ca", BackendConfig, "triton_tls_ca", "who signed its certificate, in PEM", TRITON),
    Setting("triton-tls-cert", BackendConfig, "triton_tls_cert", "to show it, in PEM", TRITON),
    Setting("triton-tls-key", BackendConfig, "triton_tls_key", "of that, in PEM", TRITON),
    Setting("triton-tls-name", BackendConfig, "triton_tls_name", "that its certificate is for", TRITON),
    Setting(
        "workers",
        RuntimeChoice,
        "num_workers",
        f"batches run at once (here {SchedulerConfig().num_workers}, the processors; in Triton 4 a member)",
        MEMBERS,
    ),
    Setting("threads", RuntimeChoice, "num_threads", "of ONNX Runtime for each batch (1)", MEMBERS),
    Setting("spin", RuntimeChoice, "is_spinning", "threads wait awake (no)", MEMBERS),
    Setting(
        "max-batch-rows",
        RuntimeChoice,
        "max_batch_rows",
        f"rows in a batch ({SchedulerConfig.max_batch_rows})",
        MEMBERS,
    ),
    Setting(
        "accelerator",
        SessionConfig,
        "accelerator",
        "what members run on, if not the CPU: cuda or tensorrt",
        MEMBERS,
    ),
    Setting(
        "max-queue-seconds",
        SchedulerConfig,
        "max_queue_s",
        "of work that may wait before requests are refused",
        LIMITS,
    ),
    Setting("max-queue-bytes", SchedulerConfig, "max_queue_bytes", "of inputs that may wait", LIMITS),
    Setting("max-request-rows", Limits, "max_request_rows", "rows in a request", LIMITS),
    Setting("max-json-bytes", Limits, "max_json_bytes", "bytes of JSON in a request", LIMITS),
    Setting("max-body-bytes", Limits, "max_body_bytes", "bytes in a request", LIMITS),
    Setting(
        "slow-batch-seconds",
        RuntimeChoice,
        "slow_batch_s",
        "a batch that takes longer, and 5 times what is expected, counts as failed (2; in Triton 0.25)",
        MEMBERS,
    ),
    Setting("audit-share", AuditConfig, "share", "of rows that all members are asked about", LIMITS),
    Setting(
        "reload-seconds",
        ServerConfig,
        "reload_s",
        "how often changed cascade files are looked for; 0 is never",
        LIMITS,
    ),
    Setting("grace", ServerConfig, "grace_s", "seconds to answer what is under way", LIMITS),
    Setting("console-samples", ServerConfig, "console_samples", "rows in .npz that the console offers"),
    Setting("log-format", LogConfig, "format", "text, or json: one object a line"),
    Setting("decision-log", DecisionLogConfig, "folder", "where its Parquet files go", DECISIONS),
    Setting("decision-log-rows", DecisionLogConfig, "max_file_rows", "rows in a file", DECISIONS),
    Setting("decision-log-seconds", DecisionLogConfig, "max_file_s", "until a row is in a file", DECISIONS),
    Setting("otlp-endpoint", TraceConfig, "otlp_endpoint", "URL of a collector that traces go to"),
    Setting("trace-share", TraceConfig, "trace_share", "of requests, where their callers do not say"),
)
COMPONENTS: dict[str, type] = {
    name: hint
    for name, hint in get_type_hints(ServerConfig).items()
    if isinstance(hint, type) and is_dataclass(hint)
}


@dataclass(frozen=True)
class Chosen:
    """A setting's value in force. `origin` is where it came from, `place` how an error names that."""

    setting: Setting
    value: Any
    origin: str
    place: str


def server_config(chosen: Mapping[str, Chosen]) -> ServerConfig:
    """Of every setting by its name. What the dataclasses refuse is refused by the place it came from."""
    if chosen["repository"].value is None:
        raise StartupError(
            "no repository: name it as an argument, by EXITGATE_REPOSITORY or as `repository` in a TOML file"
        )
    parts: dict[type, dict[str, Any]] = defaultdict(dict)
    for one in chosen.values():
        parts[one.setting.of][one.setting.field] = one.value
    try:
        components: dict[str, Any] = {name: of(**parts[of]) for name, of in COMPONENTS.items()}
        return ServerConfig(**parts[ServerConfig], **components)
    except BadSetting as error:
        raise _placed(error, chosen) from None


def _placed(error: BadSetting, chosen: Mapping[str, Chosen]) -> BadSetting:
    for one in chosen.values():
        if one.setting.field == error.name:
            return BadSetting(error.name, error.value, error.expected, one.place)
    return error
