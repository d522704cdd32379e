"""The inference route over HTTP: a raw ASGI callable in front of the application.

It takes POST .../infer for itself, since routing, validation by models and response objects cost more
there than the inference; all else goes to the application behind it.
"""

import asyncio
import logging
from dataclasses import replace
from urllib.parse import unquote

import orjson

from serving.answers import respond
from serving.edge_errors import STATUS, internal_error, retry_after_s
from serving.engine import Engine
from serving.errors import InvalidRequest, NotFound, RequestError, TooLarge
from serving.http.asgi import App, Receive, Scope, Send, header, is_inference
from serving.http.codec import Encoding, decode, decode_raw, encode
from serving.http.compression import SMALLEST, compressed, decompressed, encoding_of, wanted_of
from serving.http.incoming import Incoming, incoming_within
from serving.http.protocol import send_whole
from serving.messages import InferRequest
from serving.request_checks import Intake
from serving.services import Services

log = logging.getLogger("exitgate")
JSON_TYPE = (b"content-type", b"application/json")
BINARY_TYPE = (b"content-type", b"application/octet-stream")
LENGTH_HEADER = b"inference-header-content-length"
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body."""


class InferenceRoute:
    def __init__(self, services: Services, app: App, incoming: Incoming | None = None) -> None:
        self._engine: Engine = services.engine
        self._memory = services.memory
        self._is_traced = services.is_traced
        self._app = app
        self._incoming = incoming or incoming_within(services.engine.limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_inference(scope):
            await self._answer(scope, receive, send)
            return
        with self._incoming.share() as share:
            await self._app(scope, share.counting(receive), send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await _send(send, *await self._answer_to(scope, receive))
        except asyncio.CancelledError:
            return  # while it was being sent; nobody waits for the rest

    async def _answer_to(self, scope: Scope, receive: Receive) -> Answer:
        """Cancelled where the client went away, or the grace period is over; the task ends here."""
        try:
            return await self._inferred(scope, receive)
        except RequestError as error:
            return _refusal(error)
        except asyncio.CancelledError:
            return _told(503, "the server stopped before the answer was there")
        except Exception as error:  # a bug: the client gets the protocol's form all the same
            log.exception("a request failed")
            return _told(500, internal_error(error))

    async def _inferred(self, scope: Scope, receive: Receive) -> Answer:
        model, version = _target(scope["raw_path"].decode("ascii"))
        served = self._engine.registry.model(model, version)
        packing = encoding_of(header(scope, b"content-encoding"))
        body = await self._body(scope, receive)
        if packing is not None:
            body = await decompressed(body, packing, self._engine.limits.max_body_bytes)
        json_length = _json_length(scope)
        num_json = len(body) if json_length is None else json_length
        intake = Intake(served, self._engine.limits, self._memory, num_slow=num_json)
        request, encoding = await _decoded(model, version, body, json_length, intake)
        if self._is_traced:
            request = replace(request, traceparent=_traceparent(scope))
        job = await self._engine.infer(request)
        content, json_length = encode(respond(request, job), encoding)
        headers = [JSON_TYPE] if json_length is None else [BINARY_TYPE, _length(json_length)]
        wanted = wanted_of(header(scope, b"accept-encoding"))
        if wanted is not None and len(content) >= SMALLEST:
            headers.append((b"content-encoding", wanted))
            content = await compressed(content, wanted)
        return 200, headers, content

    async def _body(self, scope: Scope, receive: Receive) -> memoryview:
        """The whole body, refused as soon as it is known to be too large."""
        limit = self._engine.limits.max_body_bytes
        announced = header(scope, b"content-length")
        if announced is not None and int(announced) > limit:
            raise TooLarge(f"a body of {announced.decode()} bytes; at most {limit} are taken")
        chunk, more = await _chunk(receive)
        if not more and len(chunk) <= limit:
            return memoryview(chunk)
        with self._incoming.share() as share:
            share.take(len(chunk))
            body = bytearray(chunk)
            while len(body) <= limit:
                if not more:
                    return memoryview(body)
                chunk, more = await _chunk(receive)
                share.take(len(chunk))
                body += chunk
        raise TooLarge(f"a body of more than {limit} bytes")


async def _decoded(
    model: str, version: str, body: memoryview, json_length: int | None, intake: Intake
) -> tuple[InferRequest, Encoding]:
    limit = intake.limits.max_json_bytes
    if intake.num_slow > limit:
        raise TooLarge(f"more than {limit} bytes of JSON; send binary tensors")
    if intake.takes_long(len(body)):
        return await asyncio.to_thread(_decode, model, version, body, json_length, intake)
    return _decode(model, version, body, json_length, intake)


def _decode(
    model: str, version: str, body: memoryview, json_length: int | None, intake: Intake
) -> tuple[InferRequest, Encoding]:
    if json_length == 0:
        return decode_raw(model, version, body, intake)
    return decode(model, version, body, json_length, intake)


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


def _traceparent(scope: Scope) -> str:
    return (header(scope, b"traceparent") or b"").decode("latin-1")


def _refusal(error: RequestError) -> Answer:
    seconds = retry_after_s(error)
    status, headers, body = _told(STATUS[error.fault], str(error))
    if seconds is not None:
        headers.append((b"retry-after", str(seconds).encode()))
    return status, headers, body


def _told(status: int, text: str) -> Answer:
    return status, [JSON_TYPE], orjson.dumps({"error": text})


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send_whole(send, status, headers, body)
