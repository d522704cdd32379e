"""N clients, each with one request in flight, over HTTP or gRPC, as lean as Python allows.

The load generator shares the machine with the server, so what it spends is not the server's to spend:
HTTP is written on a bare asyncio protocol, gRPC sends bytes that were serialised before.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

import grpc
import numpy as np
import uvloop
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

METHOD = "/inference.GRPCInferenceService/ModelInfer"
LENGTH = b"\r\ncontent-length: "  # not inference-header-content-length
JSON_LENGTH = b"\r\ninference-header-content-length: "
Send = Callable[[bytes], Awaitable[object]]


@dataclass(frozen=True)
class Measured:
    """`latency_s` of every request, of `rows` rows each; `seconds` until the last was answered."""

    rows: int
    seconds: float
    latency_s: NDArray[np.float64]

    @property
    def requests_per_s(self) -> float:
        return len(self.latency_s) / self.seconds

    @property
    def rows_per_s(self) -> float:
        return self.rows * self.requests_per_s

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.latency_s, percent) * 1e3)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    head: bytes
    body: bytes

    @property
    def json_bytes(self) -> int | None:
        """Length of the JSON before binary tensors, None where there are none."""
        value = self.header(JSON_LENGTH)
        return int(value) if value else None

    def header(self, name: bytes) -> bytes:
        """Of a header given as `\\r\\nname: ` in lower case; empty where it is missing."""
        return self.head.lower().partition(name)[2].partition(b"\r\n")[0]


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection: one request at a time, and the whole answer to it."""

    def __init__(self) -> None:
        self.is_open = False
        self._head = b""
        self._body: list[bytes] = []
        self._missing = 0
        self._answered: asyncio.Future[HttpAnswer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._body.append(data)
            self._missing -= len(data)
        else:
            self._head += data
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head, self._body = head, [rest]
            length = head.lower().partition(LENGTH)[2].partition(b"\r\n")[0]
            self._missing = int(length or 0) - len(rest)
        if self._missing == 0 and self._answered is not None and not self._answered.done():
            head, self._head = self._head, b""
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._answered.set_result(HttpAnswer(int(head[9:12]), head, body))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionResetError("the server closed the connection"))

    async def exchange(self, request: bytes) -> HttpAnswer:
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    async def send(self, request: bytes) -> None:
        """Refuses anything but 200."""
        answer = await self.exchange(request)
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {answer.body[:300].decode()}")

    def write(self, data: bytes) -> None:
        """Part of a request, or none; no answer is awaited."""
        self._transport.write(data)

    def close(self) -> None:
        self._transport.close()


async def connect(address: str) -> HttpConnection:
    host, port = address.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(HttpConnection, host, int(port)))[1]


def http_request(
    address: str,
    model: str,
    images: NDArray[np.uint8],
    *,
    policy: str | None = None,
    outputs: Sequence[str] = (),
    timeout_us: int | None = None,
) -> bytes:
    """All outputs where none are named."""
    tensor = InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)
    body, json_length = InferenceServerClient.generate_request_body(
        [tensor],
        [InferRequestedOutput(name, binary_data=True) for name in outputs] or None,
        timeout=timeout_us,
        parameters={"policy": policy} if policy else None,
    )
    return http_message(address, model, bytes(body), json_length)


def http_message(address: str, model: str, body: bytes, json_length: object = None) -> bytes:
    """`json_length` is sent as it is, so that it may be wrong."""
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n"
    if json_length is not None:
        head += f"Inference-Header-Content-Length: {json_length}\r\n"
    return f"{head}\r\n".encode() + body


def grpc_request(
    model: str, images: NDArray[np.uint8], *, policy: str | None = None, outputs: Sequence[str] = ()
) -> bytes:
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="image", datatype="UINT8", shape=images.shape)
    request.raw_input_contents.append(images.tobytes())
    if policy:
        request.parameters["policy"].string_param = policy
    for name in outputs:
        request.outputs.add(name=name)
    serialised: bytes = request.SerializeToString()
    return serialised


def drive(
    protocol: str, address: str, requests: list[bytes], rows: int, clients: int, seconds: float
) -> Measured:
    """From outside any event loop; `protocol` is http or grpc."""
    how = {"http": drive_http, "grpc": drive_grpc}[protocol]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(how(address, requests, rows, clients, seconds))


def exchange_all(address: str, requests: Sequence[bytes], clients: int = 8) -> list[HttpAnswer]:
    """Every request once over HTTP; the answers in the order of the requests, whatever their status."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_exchange_all(address, requests, clients))


async def _exchange_all(address: str, requests: Sequence[bytes], clients: int) -> list[HttpAnswer]:
    connections = [await connect(address) for _ in range(clients)]
    answers: dict[int, HttpAnswer] = {}

    async def client(number: int) -> None:
        for turn in range(number, len(requests), clients):
            answers[turn] = await connections[number].exchange(requests[turn])

    try:
        await asyncio.gather(*(client(number) for number in range(clients)))
    finally:
        for connection in connections:
            connection.close()
    return [answers[turn] for turn in range(len(requests))]


async def drive_http(
    address: str, requests: list[bytes], rows: int, clients: int, seconds: float
) -> Measured:
    connections = [await connect(address) for _ in range(clients)]
    try:
        return await _drive([connection.send for connection in connections], requests, rows, seconds)
    finally:
        for connection in connections:
            connection.close()


async def drive_grpc(
    address: str, requests: list[bytes], rows: int, clients: int, seconds: float
) -> Measured:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(METHOD)
        return await _drive([call] * clients, requests, rows, seconds)


async def _drive(senders: Sequence[Send], requests: list[bytes], rows: int, seconds: float) -> Measured:
    latency: list[float] = []
    begin = time.perf_counter()
    end = begin + seconds

    async def client(number: int) -> None:
        turn = number
        while (sent := time.perf_counter()) < end:
            await senders[number](requests[turn % len(requests)])
            latency.append(time.perf_counter() - sent)
            turn += len(senders)

    await asyncio.gather(*(client(number) for number in range(len(senders))))
    return Measured(rows, time.perf_counter() - begin, np.array(latency))
