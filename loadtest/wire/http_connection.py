"""One connection over HTTP/1.1: one request at a time, and the whole answer to it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httptools


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Names of headers are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class HttpConnection(asyncio.Protocol):
    """Its failures are OSErrors, be they the transport's or an answer's that is not HTTP.

    `has_begun`: a byte has come since the request was written. `idle_since` is the pool's.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.idle_since = 0.0
        self._is_settled = True
        self._answered: asyncio.Future[HttpAnswer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._ends_with_connection = False

    @property
    def is_reusable(self) -> bool:
        """Open, and no part of an answer outstanding."""
        return self._is_settled and not self._transport.is_closing()

    async def exchange(self, message: bytes) -> HttpAnswer:
        """Whoever gives up the wait must `abort`: the answer would be taken for the next one's."""
        self._is_settled = self.has_begun = False
        answered: asyncio.Future[HttpAnswer] = self._loop.create_future()
        self._answered = answered
        self._transport.write(message)
        return await answered

    def abort(self) -> None:
        """At once, whatever is still to be written."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        self.has_begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionAbortedError(f"the answer is not what HTTP says ({error})"))
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._ends_with_connection and error is None:
            self._settle()
        elif isinstance(error, OSError):
            self._fail(error)
        else:
            self._fail(
                ConnectionResetError(f"the server closed the connection{f' ({error})' if error else ''}")
            )

    def on_message_begin(self) -> None:
        self._headers, self._body = {}, []
        if self._answered is None or self._answered.done():  # nothing was asked
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        is_bounded = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        self._ends_with_connection = not is_bounded and self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:  # after 100 Continue the answer is still to come
            self._settle()

    def _settle(self) -> None:
        self._ends_with_connection = False
        if self._answered is None or self._answered.done():
            return
        # A server may answer before it has read the whole request.
        is_written = self._transport.get_write_buffer_size() == 0
        self._is_settled = is_written and self._parser.should_keep_alive()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._answered.set_result(HttpAnswer(self._parser.get_status_code(), self._headers, body))

    def _fail(self, error: OSError) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
