"""An HTTP server that answers the same, whatever it is asked, and spends as little as Python can."""

import asyncio
import multiprocessing
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import cast

import numpy as np
import orjson
import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
OUTPUTS = (
    ("label", "INT64", np.array([3], "<i8")),
    ("score", "FP32", np.array([0.75], "<f4")),
    ("confidence", "FP32", np.array([0.9], "<f4")),
    ("accepted", "BOOL", np.array([True])),
    ("exit_stage", "INT32", np.array([1], "<i4")),
)


def constant_answer() -> bytes:
    """One row's, as a cascade gives it."""
    described = [
        {
            "name": name,
            "datatype": datatype,
            "shape": [1],
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, datatype, array in OUTPUTS
    ]
    head = orjson.dumps({"model_name": "constant", "model_version": "1", "outputs": described})
    body = head + b"".join(array.tobytes() for _, _, array in OUTPUTS)
    lines = (
        "HTTP/1.1 200 OK",
        "content-type: application/octet-stream",
        f"inference-header-content-length: {len(head)}",
        f"content-length: {len(body)}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


class ConstantProtocol(asyncio.Protocol):
    """Counts the bytes of a request and looks at its length alone."""

    def __init__(self) -> None:
        self._answer = constant_answer()
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._missing == 0:
            self._head += data
            head, found, body = self._head.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            if not found or length is None:
                return
            self._missing, data, self._head = int(length[1]), body, b""
        self._missing -= len(data)
        if self._missing == 0:
            self._transport.write(self._answer)


@contextmanager
def constant_server(core: int) -> Iterator[int]:
    """A process of its own, kept on one core; its port of loopback."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, core), daemon=True)
    process.start()
    try:
        yield int(ours.recv())
    finally:
        process.terminate()
        process.join()


def _serve(connection: Connection, core: int) -> None:
    os.sched_setaffinity(0, {core})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_listen(connection))


async def _listen(connection: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(ConstantProtocol, "127.0.0.1", 0)
    connection.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
