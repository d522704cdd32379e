"""Tokens over HTTP: an ASGI layer in front of every route, so that none can be forgotten."""

import orjson

from serving.console.files import OPEN as PAGE
from serving.http.asgi import App, Receive, Scope, Send, header
from serving.tokens import Tokens, refusal

HEALTH = frozenset((b"/v2/health/live", b"/v2/health/ready"))
OPEN = HEALTH | PAGE


class TokenGuard:
    """Asks nothing of whoever asks after the server's health or for the console's page, which holds no data.
    A body is not read before its token is."""

    def __init__(self, app: App, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        authorization = header(scope, b"authorization")
        if self._tokens.admit(authorization) or scope["raw_path"] in OPEN:
            await self._app(scope, receive, send)
        else:
            await _refuse(send, authorization)


async def _refuse(send: Send, authorization: bytes | None) -> None:
    """RFC 6750: what is wrong is said to those only who sent something."""
    body = orjson.dumps({"error": refusal(authorization)})
    challenge = b'Bearer realm="exitgate"'
    if authorization is not None:
        challenge += b', error="invalid_token"'
    headers = [
        (b"content-type", b"application/json"),
        (b"www-authenticate", challenge),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
