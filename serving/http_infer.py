"""The inference route over HTTP: a raw ASGI callable in front of the application.

It takes POST .../infer for itself, since routing, validation by models and response objects cost more
there than the inference; all else goes to the application behind it.
"""

import asyncio
import logging
from typing import Any

import orjson

from serving.answers import respond
from serving.asgi import App, Receive, Scope, Send, header
from serving.compression import SMALLEST, compressed, decompressed, encoding_of, wanted_of
from serving.engine import Engine
from serving.errors import Fault, InvalidRequest, NotFound, RequestError, TooLarge
from serving.http_codec import decode, encode

STATUS = {
    Fault.INVALID: 400,
    Fault.TOO_LARGE: 413,
    Fault.NOT_FOUND: 404,
    Fault.UNSUPPORTED: 501,
    Fault.UNAVAILABLE: 503,
    Fault.OVERLOADED: 503,
    Fault.TIMED_OUT: 503,
    Fault.INTERNAL: 500,
}
log = logging.getLogger("exitgate")
JSON_TYPE = (b"content-type", b"application/json")
BINARY_TYPE = (b"content-type", b"application/octet-stream")
LENGTH_HEADER = b"inference-header-content-length"


class InferenceRoute:
    def __init__(self, engine: Engine, app: App) -> None:
        self._engine = engine
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["raw_path"].endswith(b"/infer"):
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body, json_length = await self._infer(scope, receive)
        except RequestError as error:
            await send_json(send, STATUS[error.fault], {"error": str(error)})
            return
        except asyncio.CancelledError:  # the grace period is over, and this task ends here
            await send_json(send, 503, {"error": "the server stopped before the answer was there"})
            return
        except Exception as error:  # a bug: the client gets the protocol's form all the same
            log.exception("a request failed")
            await send_json(send, 500, {"error": f"internal error: {type(error).__name__}"})
            return
        headers = [JSON_TYPE] if json_length is None else [BINARY_TYPE, _length(json_length)]
        packing = wanted_of(header(scope, b"accept-encoding"))
        if packing is not None and len(body) >= SMALLEST:
            headers.append((b"content-encoding", packing))
            body = await compressed(body, packing)
        await _send(send, 200, headers, body)

    async def _infer(self, scope: Scope, receive: Receive) -> tuple[bytes, int | None]:
        model, version = _target(scope["raw_path"].decode("ascii"))
        self._engine.registry.cascade(model, version)
        packing = encoding_of(header(scope, b"content-encoding"))
        body = await self._body(scope, receive)
        if packing is not None:
            body = await decompressed(body, packing, self._engine.limits.max_body_bytes)
        json_length = _json_length(scope)
        if (len(body) if json_length is None else json_length) > self._engine.limits.max_json_bytes:
            raise TooLarge(
                f"more than {self._engine.limits.max_json_bytes} bytes of JSON; send binary tensors"
            )
        request, encoding = decode(model, version, body, json_length)
        job = await self._engine.infer(request)
        return encode(respond(request, job), encoding)

    async def _body(self, scope: Scope, receive: Receive) -> memoryview:
        """The whole body, refused as soon as it is known to be too large."""
        limit = self._engine.limits.max_body_bytes
        announced = header(scope, b"content-length")
        if announced is not None and int(announced) > limit:
            raise TooLarge(f"a body of {announced.decode()} bytes; at most {limit} are taken")
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise InvalidRequest("the client went away")
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"a body of more than {limit} bytes")
            chunks.append(chunk)
        return memoryview(chunks[0] if len(chunks) == 1 else b"".join(chunks))


def _length(json_length: int) -> tuple[bytes, bytes]:
    """Of the JSON in the body as it is once unpacked."""
    return LENGTH_HEADER, str(json_length).encode()


def _target(path: str) -> tuple[str, str]:
    """Model and version of `/v2/models/M[/versions/V]/infer`."""
    match path.split("/"):
        case ["", "v2", "models", model, "infer"]:
            return model, ""
        case ["", "v2", "models", model, "versions", version, "infer"]:
            return model, version
        case _:
            raise NotFound(f"no such route: {path[:200]}")


def _json_length(scope: Scope) -> int | None:
    value = header(scope, LENGTH_HEADER)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 12:
        raise InvalidRequest(f"Inference-Header-Content-Length {value[:40].decode('latin-1')!r} is no length")
    return int(value)


async def send_json(send: Send, status: int, document: dict[str, Any]) -> None:
    await _send(send, status, [JSON_TYPE], orjson.dumps(document))


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
