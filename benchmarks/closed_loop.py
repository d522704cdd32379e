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
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.http import InferenceServerClient, InferInput

METHOD = "/inference.GRPCInferenceService/ModelInfer"
LENGTH = b"\r\ncontent-length: "  # not inference-header-content-length
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


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection: send a request, wait for the whole answer, refuse anything but 200."""

    def __init__(self) -> None:
        self._buffer = b""
        self._missing = 0
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._buffer += data
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self._fail(self._buffer[:300].decode())
                return
            length = head.lower().partition(LENGTH)[2].partition(b"\r\n")[0]
            self._missing = int(length) - len(rest)
            self._buffer = b""
        if self._missing == 0 and self._answered is not None:
            self._answered.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("the server closed the connection")

    def _fail(self, text: str) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(RuntimeError(text))

    async def send(self, request: bytes) -> None:
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._answered

    def close(self) -> None:
        self._transport.close()


def http_request(address: str, model: str, images: NDArray[np.uint8]) -> bytes:
    tensor = InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)
    body, json_length = InferenceServerClient.generate_request_body([tensor])
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n"
        f"Inference-Header-Content-Length: {json_length}\r\n\r\n"
    )
    return head.encode() + bytes(body)


def grpc_request(model: str, images: NDArray[np.uint8]) -> bytes:
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="image", datatype="UINT8", shape=images.shape)
    request.raw_input_contents.append(images.tobytes())
    serialised: bytes = request.SerializeToString()
    return serialised


async def drive_http(
    address: str, requests: list[bytes], rows: int, clients: int, seconds: float
) -> Measured:
    host, port = address.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(HttpConnection, host, int(port)))[1] for _ in range(clients)]
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
