"""Bodies on their way: what all connections together may hold of them before any can be decoded."""

from collections.abc import Iterator
from contextlib import contextmanager

from serving.config import Limits
from serving.errors import Overloaded
from serving.http.asgi import Message, Receive

LEAST_BYTES = 256 * 2**20
RETRY_AFTER_S = 1.0


class Incoming:
    """Counts the bytes of bodies that come in more than one piece. Belongs to the event loop's thread."""

    def __init__(self, max_bytes: int) -> None:
        self.num_bytes = 0
        self.max_bytes = max_bytes

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """One body's; it is given back at the end, however that comes."""
        share = Share(self)
        try:
            yield share
        finally:
            self.num_bytes -= share.num_bytes


class Share:
    def __init__(self, incoming: Incoming) -> None:
        self.num_bytes = 0
        self._incoming = incoming

    def take(self, num_bytes: int) -> None:
        if self._incoming.num_bytes + num_bytes > self._incoming.max_bytes:
            text = f"more than {self._incoming.max_bytes} bytes of bodies are on their way"
            raise Overloaded(text, RETRY_AFTER_S)
        self._incoming.num_bytes += num_bytes
        self.num_bytes += num_bytes

    def counting(self, receive: Receive) -> Receive:
        """For who gathers a body elsewhere. A piece that ends one, and so each that is alone, is not
        counted."""

        async def received() -> Message:
            message = await receive()
            if message.get("more_body", False):
                self.take(len(message.get("body", b"")))
            return message

        return received


def incoming_within(limits: Limits) -> Incoming:
    """A few of the largest bodies, at least."""
    return Incoming(max(4 * limits.max_body_bytes, LEAST_BYTES))
