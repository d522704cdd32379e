"""What one HTTP connection may take: bytes of head, and time to send its requests.

uvicorn bounds neither, and lets an answer's making go on when nobody waits for it. One timer a connection
looks after it, so that a request costs no timer of its own.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from serving.errors import StartupError
from serving.http.asgi import Scope, Send, is_inference

FRAMING = (b"content-length", b"transfer-encoding")
LINE_BYTES = len(": \r\n")
FAREWELL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """A head must be there in `head_s` seconds, and in as many some of an answer be read. A body has `body_s`
    and one more for each `body_bytes_per_s` that came: large bodies have their time, single bytes do not.
    When the server stops, an idle connection stays open for `linger_s`: a request may be on its way."""

    head_s: float = 10.0
    body_s: float = 10.0
    body_bytes_per_s: int = 64 * 1024
    max_head_bytes: int = 64 * 1024
    linger_s: float = 0.5

    def __post_init__(self) -> None:
        for name in ("head_s", "body_s", "body_bytes_per_s", "max_head_bytes", "linger_s"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise StartupError(f"{name} is {value!r}; it must be positive")

    @property
    def look_s(self) -> float:
        """How often a connection is looked after: nobody has more than half of their time in addition."""
        return min(self.head_s, self.body_s) / 4


class HeadTooLarge(Exception):
    """Ends the parsing of a head."""


class Rest:
    """Of one request, what comes after its head."""

    def __init__(self, protocol: "BoundedProtocol") -> None:
        self._protocol = protocol
        self._is_over = False

    def on_body(self, body: bytes) -> None:
        if not self._is_over:
            self._protocol.on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._protocol.on_message_complete()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's, within limits.

    `_is_body_due` says where in a message the client is: before the end of its head, or after. `_turns`
    counts how often that changed, and `_received` the bytes that came since. What changed from one look to
    the next is not late, so that no request has to ask for the time. `_bodiless` counts what came after a
    head, and since some of its body last did: trailers, which httptools gathers, and nobody here reads.
    """

    def __init__(self, *arguments: Any, limits: ConnectionLimits, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._is_body_due = False
        self._is_declined = False
        self._is_ending = False
        self._turns = 0
        self._received = 0
        self._bodiless = 0
        self._seen = (0, False, 0)
        self._since_s = self.loop.time()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._limits.look_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is None:
            return
        # uvicorn says so to the last request, which may wait behind this one.
        self._served.disconnected = True
        # Only inference may end in the middle; loading, say, has others who depend on it.
        if is_inference(cast(Scope, self._served.scope)):
            self._task.cancel()  # which does nothing to one that is done

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._received += len(data)
        self._bodiless += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, HeadTooLarge):
                self._refuse_head()
            else:
                self._refuse(400, "this is no HTTP/1.1 request")
            return
        if self._received > self._limits.max_head_bytes and not self._is_body_due:
            self._refuse_head()
        elif self._bodiless > self._limits.max_head_bytes and self._is_body_due:
            self._refuse(431, f"a request's trailers may have at most {self._limits.max_head_bytes} bytes")

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if not self._is_declined:
                self._decline(data[offer.args[0] :])

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn does, but for trailers: the head is the application's already."""
        if self._is_body_due:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._bodiless = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        if self._received > self._limits.max_head_bytes:  # perhaps of the body; count
            size = len(self.url) + sum(len(name) + len(value) + LINE_BYTES for name, value in self.headers)
            if size > self._limits.max_head_bytes:
                raise HeadTooLarge
        self._is_body_due = True
        self._turns += 1
        self._received = self._bodiless = 0
        super().on_headers_complete()
        if self._is_ending:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # for httptools, not for us: see `_decline`
        self._is_body_due = False
        self._turns += 1
        self._received = 0
        super().on_message_complete()

    def _decline(self, rest: bytes) -> None:
        """A request that offers another protocol ends at its head, httptools thinks. It is answered as it is,
        and is its connection's last, so that all that may come is its body; another parser reads that."""
        self._is_declined = True
        self.cycle.keep_alive = False
        framing = [b"%b: %b\r\n" % header for header in self.headers if header[0] in FRAMING]
        self.parser = httptools.HttpRequestParser(Rest(self))
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(framing))
        if rest:
            self._feed(rest)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """As uvicorn does, and remember it."""
        self._served = cycle
        self._task = task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def shutdown(self) -> None:
        """The next answer, which may be a refusal, says that it is the last one. To close an idle connection
        at once would lose with it what lies there unread, and the client could not tell why."""
        self._is_ending = True
        if self._is_answer_due:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(self._limits.linger_s, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """TLS would wait for the client's farewell, and one that is idle reads nothing and says none."""
        if self._is_answer_due:
            return
        self.transport.close()
        if self.scheme == "https" and self.transport.get_write_buffer_size() == 0:
            self.loop.call_later(FAREWELL_S, self.transport.abort)

    def _look(self) -> None:
        self._timer = self.loop.call_later(self._limits.look_s, self._look)
        now_s = self.loop.time()
        seen = (self._turns, self._is_answer_due, self.transport.get_write_buffer_size())
        if seen != self._seen:
            self._seen, self._since_s = seen, now_s
        elif now_s - self._since_s > self._patience_s:
            self._give_up()

    def _give_up(self) -> None:
        if self._is_unread:
            self.transport.abort()
            return
        part = "body" if self._is_body_due else "head"
        self._refuse(408, f"the request's {part} did not come in time")

    @property
    def _patience_s(self) -> float:
        """How long nothing may change, by whose turn it is. A body behind another request is not read, and so
        not late."""
        if self._is_unread:
            return self._limits.head_s
        if self.pipeline:
            return math.inf
        if self._is_body_due:
            return self._limits.body_s + self._received / self._limits.body_bytes_per_s
        return math.inf if self._is_answer_due else self._limits.head_s

    @property
    def _is_unread(self) -> bool:
        """Whether the client does not read what was sent."""
        return self.transport.is_closing() or self.transport.get_write_buffer_size() > 0

    @property
    def _is_answer_due(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse_head(self) -> None:
        self._refuse(431, f"a request's head may have at most {self._limits.max_head_bytes} bytes")

    def _refuse(self, status: int, text: str) -> None:
        """Say why, where the client waits for an answer to just this, and close."""
        if self.transport.is_closing():
            return
        if self._is_answer_due and not self._is_body_due:
            self.cycle.keep_alive = False  # the answer to an earlier request goes first, and is the last
            return
        # It was answered before its body ended, or there was none.
        is_over = self._is_body_due and not self._is_answer_due
        is_answered = is_over or (self._is_answer_due and self.cycle.response_started)
        is_idle = not self._is_body_due and self._received == 0
        if not is_answered and not is_idle:
            self.transport.write(_answer(status, text))
        self.transport.close()


async def send_whole(send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    """An answer at once: as ASGI has it, head and body are two messages, which uvicorn makes two writes."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    parts = [STATUS_LINE[status]]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
    cycle.transport.write(b"".join(parts))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def _answer(status: int, text: str) -> bytes:
    body = orjson.dumps({"error": text})
    return b"".join(
        (
            STATUS_LINE[status],
            b"content-type: application/json\r\n",
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body),
            body,
        )
    )
