import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from loadtest.wire.http_connection import HttpAnswer, HttpConnection
from tests.loadtest.wire.scripted_server import OK, Step, scripted

ASK = b"GET / HTTP/1.1\r\n\r\n"


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[HttpConnection]:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(HttpConnection, "127.0.0.1", port)
    try:
        yield connection
    finally:
        connection.abort()
        await asyncio.sleep(0)


async def exchanged(*script: Step) -> tuple[list[HttpAnswer], HttpConnection]:
    """The answers to as many requests on one connection."""
    async with scripted(script) as server, connected(server.target.port) as connection:
        return [await connection.exchange(ASK) for _ in script], connection


async def is_reusable_after(step: Step) -> bool:
    async with scripted([step]) as server, connected(server.target.port) as connection:
        await connection.exchange(ASK)
        return connection.is_reusable


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n4\r\n you\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "status", "body"),
    [
        ((OK,), 200, b"hi"),
        (tuple(OK[i : i + 1] for i in range(len(OK))), 200, b"hi"),
        ((CHUNKED,), 200, b"hi you"),
        ((CHUNKED[:50], CHUNKED[50:]), 200, b"hi you"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), 204, b""),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + OK,), 200, b"hi"),
        ((b"HTTP/1.1 503 No\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\nbusy",), 503, b"busy"),
    ],
)
def test_a_whole_answer_is_read(parts: Sequence[bytes], status: int, body: bytes) -> None:
    """And the next one on the same connection as well."""
    answers, _ = asyncio.run(exchanged(Step(tuple(parts)), Step()))
    assert (answers[0].status, answers[0].body) == (status, body)
    assert (answers[1].status, answers[1].body) == (200, b"hi")


def test_headers_are_told_in_lower_case_and_of_one_answer_alone() -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-One: 1\r\n\r\n"
    answers, _ = asyncio.run(exchanged(Step((first,)), Step()))
    assert answers[0].headers == {b"content-length": b"0", b"x-one": b"1"}
    assert answers[1].headers == {b"content-length": b"2"}


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    parts = (b"HTTP/1.1 200 OK\r\n\r\n", b"one ", b"two")
    (answer,), connection = asyncio.run(exchanged(Step(parts, closes=True)))
    assert answer.body == b"one two"
    assert not connection.is_reusable


@pytest.mark.parametrize(
    ("answer", "is_reusable"),
    [
        (OK, True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", False),
        (OK + OK, False),  # the second was not asked for
        (OK + b"junk", False),
    ],
)
def test_a_connection_is_kept_only_where_both_may_go_on(answer: bytes, is_reusable: bool) -> None:
    assert asyncio.run(is_reusable_after(Step((answer,)))) == is_reusable


def test_a_connection_is_not_kept_while_its_request_is_still_being_written() -> None:
    """The server has refused what it has not read, and the rest would be taken for another request."""

    is_over = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await is_over.wait()
        writer.close()

    async def asked() -> tuple[int, bool]:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=4096)
        try:
            async with connected(server.sockets[0].getsockname()[1]) as connection:
                answer = await connection.exchange(ASK + b"x" * 50_000_000)
                return answer.status, connection.is_reusable
        finally:
            is_over.set()
            server.close()
            await asyncio.sleep(0.01)

    assert asyncio.run(asked()) == (413, False)


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (Step((), closes=True), ConnectionResetError, "the server closed the connection"),
        (Step((OK[:-1],), closes=True), ConnectionResetError, "the server closed the connection"),
        (Step((OK[:20],), closes=True), ConnectionResetError, "the server closed the connection"),
        (Step((CHUNKED[:-5],), closes=True), ConnectionResetError, "the server closed the connection"),
        (Step((b"SSH-2.0\r\n",)), ConnectionAbortedError, "not what HTTP says"),
        (
            Step((b"HTTP/1.1 101 No\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",)),
            ConnectionAbortedError,
            "52",
        ),
    ],
)
def test_what_is_no_whole_answer_is_an_error(step: Step, error: type[OSError], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        asyncio.run(exchanged(step))
