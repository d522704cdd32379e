"""The inference route over HTTP: a raw ASGI callable in front of the application.

It takes POST .../infer for itself, since routing, validation by models and response objects cost more
there than the inference; all else goes to the application behind it.
"""

import asyncio
import logging
from typing import Any
from urllib.parse import unquote

import orjson

from serving.answers import respond
from serving.edge_errors import STATUS, internal_error, retry_after_s
from serving.engine import Engine
from serving.errors import InvalidRequest, NotFound, RequestError, TooLarge
from serving.http.asgi import App, Receive, Scope, Send, header, is_inference
from serving.http.codec import Encoding, decode, decode_raw, encode
from serving.http.compression import SMALLEST, compressed, decompressed, encoding_of, wanted_of
from serving.http.protocol import send_whole
from serving.messages import InferRequest
from serving.services import Services

log = logging.getLogger("exitgate")
JSON_TYPE = (b"content-type", b"application/json")
BINARY_TYPE = (b"content-type", b"application/octet-stream")
LENGTH_HEADER = b"inference-header-content-length"
IN_A_THREAD = 256 * 1024
"""Bytes of JSON from which on the event loop does not wait for their parsing."""


class InferenceRoute:
    def __init__(self, services: Services, app: App) -> None:
        self._engine: Engine = services.engine
        self._memory = services.memory
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_inference(scope):
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body, json_length = await self._infer(scope, receive)
        except RequestError as error:
            await _send_error(send, error)
            return
        except (
            asyncio.CancelledError
        ):  # the client went away, or the grace period is over; this task ends here
            await _send_json(send, 503, {"error": "the server stopped before the answer was there"})
            return
        except Exception as error:  # a bug: the client gets the protocol's form all the same
            log.exception("a request failed")
            await _send_json(send, 500, {"error": internal_error(error)})
            return
        headers = [JSON_TYPE] if json_length is None else [BINARY_TYPE, _length(json_length)]
        packing = wanted_of(header(scope, b"accept-encoding"))
        if packing is not None and len(body) >= SMALLEST:
            headers.append((b"content-encoding", packing))
            body = await compressed(body, packing)
        await _send(send, 200, headers, body)

    async def _infer(self, scope: Scope, receive: Receive) -> tuple[bytes, int | None]:
        model, version = _target(scope["raw_path"].decode("ascii"))
        self._engine.registry.model(model, version)
        packing = encoding_of(header(scope, b"content-encoding"))
        body = await self._body(scope, receive)
        if packing is not None:
            body = await decompressed(body, packing, self._engine.limits.max_body_bytes)
        request, encoding = await self._decoded(model, version, body, _json_length(scope))
        job = await self._engine.infer(request)
        return encode(respond(request, job), encoding)

    async def _decoded(
        self, model: str, version: str, body: memoryview, json_length: int | None
    ) -> tuple[InferRequest, Encoding]:
        if json_length == 0:
            specs = self._engine.registry.model(model, version).cascade.inputs
            return decode_raw(model, version, body, specs)
        num_bytes = len(body) if json_length is None else json_length
        if num_bytes > self._engine.limits.max_json_bytes:
            raise TooLarge(
                f"more than {self._engine.limits.max_json_bytes} bytes of JSON; send binary tensors"
            )
        if num_bytes < IN_A_THREAD:
            return decode(model, version, body, json_length, self._memory)
        return await asyncio.to_thread(decode, model, version, body, json_length, self._memory)

    async def _body(self, scope: Scope, receive: Receive) -> memoryview:
        """The whole body, refused as soon as it is known to be too large."""
        limit = self._engine.limits.max_body_bytes
        announced = header(scope, b"content-length")
        if announced is not None and int(announced) > limit:
            raise TooLarge(f"a body of {announced.decode()} bytes; at most {limit} are taken")
        chunk, more = await _chunk(receive)
        if not more and len(chunk) <= limit:
            return memoryview(chunk)
        body = bytearray(chunk)
        while len(body) <= limit:
            if not more:
                return memoryview(body)
            chunk, more = await _chunk(receive)
            body += chunk
        raise TooLarge(f"a body of more than {limit} bytes")


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    """Some of the body, and whether there is more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise InvalidRequest("the client went away")
    return message.get("body", b""), message.get("more_body", False)


def _length(json_length: int) -> tuple[bytes, bytes]:
    """Of the JSON in the body as it is once unpacked."""
    return LENGTH_HEADER, str(json_length).encode()


def _target(path: str) -> tuple[str, str]:
    """Model and version of `/v2/models/M[/versions/V]/infer`."""
    match path.split("/"):
        case ["", "v2", "models", model, "infer"]:
            return unquote(model), ""
        case ["", "v2", "models", model, "versions", version, "infer"]:
            return unquote(model), unquote(version)
        case _:
            raise NotFound(f"no such route: {path[:200]}")


def _json_length(scope: Scope) -> int | None:
    value = header(scope, LENGTH_HEADER)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 12:
        raise InvalidRequest(f"Inference-Header-Content-Length {value[:40].decode('latin-1')!r} is no length")
    return int(value)


async def _send_error(send: Send, error: RequestError) -> None:
    seconds = retry_after_s(error)
    more = [] if seconds is None else [(b"retry-after", str(seconds).encode())]
    await _send_json(send, STATUS[error.fault], {"error": str(error)}, more)


async def _send_json(
    send: Send, status: int, document: dict[str, Any], more: list[tuple[bytes, bytes]] | None = None
) -> None:
    await _send(send, status, [JSON_TYPE, *(more or [])], orjson.dumps(document))


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send_whole(send, status, headers, body)
