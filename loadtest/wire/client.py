"""What a protocol must offer, and the words both protocols share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from numpy.typing import NDArray

from loadtest.errors import TargetError
from loadtest.wire.targets import Target
from loadtest.wire.tensors import NamedTensor

ALL_OUTPUTS = ("probabilities", "label", "score", "confidence", "accepted", "exit_stage", "exit_reason")
# What reading JSON of another shape than expected may raise.
MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
# What a client that acts on the answer reads; the whole distribution would mostly measure bytes.
LEAN_OUTPUTS = ("label", "confidence", "accepted", "exit_stage")
CASCADE_PARAMETER = "cascade"


class Status(IntEnum):
    """What became of a request."""

    OK = 0
    REFUSED = 1  # the server answered with an error
    TIMEOUT = 2  # given up, the answer still outstanding or the request still waiting to be sent
    BROKEN = 3  # the connection failed, or the answer could not be read


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes ready to be sent."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


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

    async def model_names(self) -> tuple[str, ...]: ...

    async def cascade_json(self) -> str | None:
        """The cascade file; None where the server has no such model, or it is no cascade."""

    async def executed_rows(self) -> Mapping[str, int]:
        """Rows that each model and member, all versions together, has executed since the server started."""

    async def server_cpu_s(self) -> float | None:
        """CPU-seconds that the server has used; None where the protocol does not tell."""

    async def send(self, request: Request) -> Reply: ...

    def encode(self, policy: str, inputs: Sequence[NamedTensor], outputs: Sequence[str]) -> Request: ...

    def decode(self, reply: Reply) -> Answer:
        """WireError where the body is not what the protocol says."""

    async def close(self) -> None: ...
