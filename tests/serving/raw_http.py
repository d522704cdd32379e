"""HTTP by hand: bytes to a server's socket, and what comes back until the answer is whole."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers import Server

INFER = "/v2/models/digits/infer"


@contextmanager
def connection(address: str) -> Iterator[socket.socket]:
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as open_socket:
        yield open_socket


def head(*headers: str, path: str = INFER, method: str = "POST") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", *headers, "", "")).encode("latin-1")


def answer(open_socket: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer."""
    response = http.client.HTTPResponse(open_socket, method="POST")
    response.begin()
    return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def post(server: Server, body: bytes, path: str = INFER, **headers: str) -> tuple[int, Any]:
    named = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with connection(server.http) as open_socket:
        open_socket.sendall(head(f"Content-Length: {len(body)}", *named, path=path) + body)
        status, _, content = answer(open_socket)
    return status, json.loads(content)


def is_closed(open_socket: socket.socket) -> bool:
    """Whether the server has closed it, or does within the socket's timeout."""
    try:
        return open_socket.recv(1) == b""
    except ConnectionResetError:
        return True
