"""Clients that keep their connection, and say of each request exactly what became of it."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import grpc
import numpy as np
import orjson
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from benchmarks.closed_loop import METHOD, HttpAnswer, HttpConnection, grpc_request, http_request
from loadtest.wire.grpc import CHANNEL_OPTIONS
from loadtest.wire.grpc import decode_infer as decode_grpc
from loadtest.wire.http_codec import decode_infer as decode_http

CLOSING = b"\r\nconnection: "
STOPPING = "the server is stopping"
NOT_CONNECTED = "failed to connect"


class Outcome(StrEnum):
    """What became of a request. The last three must not be."""

    ANSWERED = "answered"
    REFUSED = "refused"  # 503 or UNAVAILABLE, with the server's own words
    NOT_SENT = "not sent"  # nobody listens any more
    UNANSWERED = "sent, and closed without an answer"
    CUT = "closed in the middle of the answer"
    FAILED = "another error"


@dataclass(frozen=True)
class Question:
    """Some rows of the test images under a policy; `http` and `grpc` are the request as sent."""

    rows: NDArray[np.intp]
    policy: str
    http: bytes
    grpc: bytes


def make_question(model: str, images: NDArray[np.uint8], rows: NDArray[np.intp], policy: str) -> Question:
    return Question(
        rows,
        policy,
        http_request("localhost", model, images[rows], policy=policy),
        grpc_request(model, images[rows], policy=policy),
    )


@dataclass(frozen=True)
class Reply:
    """`version` is the cascade's that the answer names."""

    outcome: Outcome
    version: int = 0
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    detail: str = ""


class Client(Protocol):
    async def ask(self, question: Question) -> Reply: ...

    async def close(self) -> None: ...


class CountedConnection(HttpConnection):
    """Knows how much of an answer is here."""

    received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        super().data_received(data)


class HttpClient:
    """One connection at a time, which is left where the server says that it closes it."""

    def __init__(self, address: str) -> None:
        self._host, port = address.rsplit(":", 1)
        self._port = int(port)
        self._connection: CountedConnection | None = None

    async def ask(self, question: Question) -> Reply:
        try:
            connection = await self._connected()
        except OSError as error:
            return Reply(Outcome.NOT_SENT, detail=type(error).__name__)
        connection.received = 0
        try:
            answer = await connection.exchange(question.http)
        except ConnectionResetError:
            return Reply(Outcome.CUT if connection.received else Outcome.UNANSWERED)
        if answer.header(CLOSING) == b"close":
            await self.close()
        return _http_reply(answer)

    async def _connected(self) -> CountedConnection:
        if self._connection is None or not self._connection.is_open:
            loop = asyncio.get_running_loop()
            _, self._connection = await loop.create_connection(CountedConnection, self._host, self._port)
        return self._connection

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _http_reply(answer: HttpAnswer) -> Reply:
    if answer.status != 200:
        outcome = Outcome.REFUSED if answer.status == 503 else Outcome.FAILED
        return Reply(outcome, detail=f"{answer.status} {answer.body[:200].decode(errors='replace')}")
    head = orjson.loads(answer.body[: answer.json_bytes])
    outputs = dict(decode_http(answer.body, answer.json_bytes).outputs)
    return Reply(Outcome.ANSWERED, int(head["parameters"]["cascade_version"]), outputs)


class GrpcClient:
    """A channel of its own, and so a connection."""

    def __init__(self, address: str) -> None:
        options = (*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
        self._channel = grpc.aio.insecure_channel(address, options)
        self._call = self._channel.unary_unary(METHOD)

    async def ask(self, question: Question) -> Reply:
        try:
            answer = await self._call(question.grpc)
        except grpc.aio.AioRpcError as error:
            return Reply(_outcome(error), detail=f"{error.code().name} {error.details()}")
        parameters = service_pb2.ModelInferResponse.FromString(answer).parameters
        version = int(parameters["cascade_version"].string_param)
        return Reply(Outcome.ANSWERED, version, dict(decode_grpc(answer).outputs))

    async def close(self) -> None:
        await self._channel.close()


def _outcome(error: grpc.aio.AioRpcError) -> Outcome:
    """Of a connection that was lost one cannot tell how much had come."""
    if error.code() != grpc.StatusCode.UNAVAILABLE:
        return Outcome.FAILED
    text = error.details() or ""
    if text == STOPPING:
        return Outcome.REFUSED
    return Outcome.NOT_SENT if NOT_CONNECTED in text else Outcome.UNANSWERED


CLIENTS: dict[str, type[HttpClient] | type[GrpcClient]] = {"http": HttpClient, "grpc": GrpcClient}
