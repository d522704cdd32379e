"""Bodies of requests beside inference: a small JSON object, or nothing."""

from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from serving.errors import InvalidRequest, TooLarge
from serving.http.json_document import parse_object

MAX_BYTES = 1024 * 1024


async def read_object(request: Request) -> dict[str, Any]:
    """Clients also send no body at all, which is an empty object."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                raise TooLarge(f"a body of more than {MAX_BYTES} bytes")
    except ClientDisconnect:
        raise InvalidRequest("the client went away") from None
    return parse_object(bytes(body), "the body") if body else {}
