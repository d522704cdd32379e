"""What a protocol must offer, and the words both protocols share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from numpy.typing import NDArray

from loadtest.errors import TargetError
from loadtest.wire.model_statistics import ModelStatistics
from loadtest.wire.served import ServedModel
from loadtest.wire.targets import Target
from loadtest.wire.tensors import NamedTensor

# What reading JSON of another shape than expected may raise.
MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
CASCADE_PARAMETER = "cascade"


class Status(IntEnum):
    """What became of a request."""

    OK = 0
    REFUSED = 1  # the server answered with an error
    TIMEOUT = 2  # given up, the answer still outstanding or the request still waiting to be sent
    BROKEN = 3  # the connection failed, or the answer could not be read
    # The server said that it is too busy: HTTP 429, or 503 with the time to come again; gRPC
    # RESOURCE_EXHAUSTED, or UNAVAILABLE in its own words.
    SHED = 4


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request for inference. What is None is left to the server; `timeout_us` is the request's own
    `timeout`, in microseconds, which a server may answer by (degraded) or refuse by."""

    inputs: Sequence[NamedTensor]
    outputs: Sequence[str]
    policy: str | None = None
    max_stages: int | None = None
    timeout_us: int | None = None

    @property
    def parameters(self) -> dict[str, str | int]:
        named = {"policy": self.policy, "max_stages": self.max_stages, "timeout": self.timeout_us}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes ready to be sent."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes as they came; read only after the clock has stopped. `json_bytes` is HTTP's alone."""

    status: Status
    body: bytes = b""
    json_bytes: int | None = None
    detail: str = ""


@dataclass(frozen=True)
class Answer:
    """Output arrays by name, each with the rows of the request as its first dimension."""

    outputs: Mapping[str, NDArray[Any]]
    is_degraded: bool = False


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Reading a control answer that is not what the protocol says is a TargetError."""
    try:
        yield
    except MISREAD as error:
        raise TargetError(f"{what} is not what the protocol says ({error!r})") from None


class Client(Protocol):
    """A connection to one target, for one model. Setting up raises TargetError; `send` never raises
    for what a server or a network may do."""

    target: Target

    async def check_ready(self) -> None: ...

    async def describe(self) -> ServedModel:
        """The model as it is served; TargetError where it is not, which names those that are."""

    async def statistics(self) -> Mapping[str, ModelStatistics]:
        """Of each model and member, all versions together, since the server started."""

    async def server_cpu_s(self) -> float | None:
        """CPU-seconds that the server has used; None where the protocol does not tell."""

    async def send(self, request: Request) -> Reply: ...

    def encode(self, ask: Ask) -> Request: ...

    def decode(self, reply: Reply) -> Answer:
        """WireError where the body is not what the protocol says."""

    async def close(self) -> None: ...
