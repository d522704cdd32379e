"""loadtest's HTTP client on bare connections: what it costs is taken from the server on the same machine."""

import orjson

from benchmarks.closed_loop import HttpAnswer, HttpConnection, connect
from loadtest.wire.client import Reply, Request, Status
from loadtest.wire.http import HttpClient
from loadtest.wire.targets import parse_target

MAX_TEXT = 100


class BareClient(HttpClient):
    """A request's body is the whole HTTP message. The last connection given back is the next to be used, so
    that no more are open than are needed at once.

    The detail of a refused reply begins with the status, and `retry` where the server says when to come
    again.
    """

    def __init__(self, address: str, model: str) -> None:
        super().__init__(parse_target(f"http://{address}"), model)
        self._address = address
        self._idle: list[HttpConnection] = []

    async def send(self, request: Request) -> Reply:
        try:
            connection = await self._connection()
        except OSError as error:
            return Reply(Status.BROKEN, detail=f"{type(error).__name__}: {error}")
        is_answered = False
        try:
            answer = await connection.exchange(request.body)
            is_answered = True
        except OSError as error:
            return Reply(Status.BROKEN, detail=f"{type(error).__name__}: {error}")
        finally:
            if is_answered:
                self._idle.append(connection)
            else:  # an answer to a request that was given up must not be taken for the next one's
                connection.close()
        return _reply(answer)

    @staticmethod
    def is_degraded(reply: Reply) -> bool:
        head = orjson.loads(reply.body[: reply.json_bytes])
        return bool(head.get("parameters", {}).get("degraded", False))

    async def close(self) -> None:
        for connection in self._idle:
            connection.close()
        await super().close()

    async def _connection(self) -> HttpConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return await connect(self._address)


def _reply(answer: HttpAnswer) -> Reply:
    if answer.status == 200:
        return Reply(Status.OK, answer.body, answer.json_bytes)
    retry = " retry" if answer.header(b"\r\nretry-after: ") else ""
    text = answer.body[:MAX_TEXT].decode(errors="replace")
    return Reply(Status.REFUSED, detail=f"{answer.status}{retry}: {text}")
