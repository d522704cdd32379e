"""Connections kept alive between requests, as many as there are requests at once."""

import asyncio
import ssl
import time
from collections.abc import Callable

from loadtest.wire.http_connection import HttpAnswer, HttpConnection
from loadtest.wire.targets import Target

# Below the five seconds after which servers commonly close a connection: a request sent into a closing
# one is lost, and would be counted against the server.
KEEP_ALIVE_S = 4.0
# Servers that close a connection for being idle let it be so for longer than this.
SHORTEST_IDLE_S = 1.0


class HttpPool:
    """The last connection given back is the first to be used, so that no more are used than are needed."""

    def __init__(
        self,
        target: Target,
        context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._context = context
        self._clock = clock
        self._idle: list[HttpConnection] = []

    async def exchange(self, message: bytes) -> HttpAnswer:
        """OSError where it fails. Asked again once, on a new connection, where the old one had been idle for
        long and was closed before any byte of an answer came: the server's closing and our request crossed,
        which is HTTP's fault and not the server's. One that closes a busy connection has failed a request,
        and that is not hidden; nor is time, since the clock goes on."""
        now = self._clock()
        connection = self._take(now)
        if connection is not None:
            idle_s = now - connection.idle_since
            try:
                return await self._exchange(connection, message)
            except OSError:
                if connection.has_begun or idle_s < SHORTEST_IDLE_S:
                    raise
        return await self._exchange(await self._connect(), message)

    async def close(self) -> None:
        for connection in self._idle:
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # sockets are closed a turn of the loop later

    def _take(self, now: float) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable and now - connection.idle_since < KEEP_ALIVE_S:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> HttpConnection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            HttpConnection, self._target.host, self._target.port, ssl=self._context
        )
        return connection

    async def _exchange(self, connection: HttpConnection, message: bytes) -> HttpAnswer:
        try:
            return await connection.exchange(message)
        finally:
            if connection.is_reusable:
                connection.idle_since = self._clock()
                self._idle.append(connection)
            else:
                connection.abort()
