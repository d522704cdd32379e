"""Behind a port that several processes share, what only each of them could tell is refused.

A second look would reach another process, and counters that jump from one to another tell nothing.
"""

import orjson

from serving.http.asgi import App, Receive, Scope, Send

OF_ONE = frozenset((b"/metrics", b"/v2/console/state"))
TEXT = (
    "several processes share this port, and each has counters of its own: ask each at its own port, from "
    "--own-ports on"
)


class SharedPort:
    """`port` is the one that is shared; at any other everything is answered."""

    def __init__(self, app: App, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["raw_path"] in OF_ONE and scope["server"][1] == self._port:
            await _refuse(send)
        else:
            await self._app(scope, receive, send)


async def _refuse(send: Send) -> None:
    body = orjson.dumps({"error": TEXT})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 501, "headers": headers})
    await send({"type": "http.response.body", "body": body})
