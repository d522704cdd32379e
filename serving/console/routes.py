"""The console's routes: the page, what it is made of, and the two documents that it reads."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response

from serving.console.files import FILES
from serving.console.samples import Samples
from serving.console.state import console_state
from serving.engine import Engine
from serving.errors import NotFound

STATE = "/v2/console/state"
SAMPLES = "/v2/console/samples/{model}"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Nothing from elsewhere is loaded or told, and no other page shows this one in a frame."""


def add_console(app: FastAPI, engine: Engine, samples: Samples | None) -> None:
    for path, (content, media_type) in FILES.items():
        app.add_route(path, _file(content, media_type), include_in_schema=False)

    @app.get(STATE)
    async def state() -> dict[str, Any]:
        return console_state(engine, time.monotonic())

    @app.get(SAMPLES)
    async def some_samples(model: str) -> dict[str, Any]:
        """Null where none are offered."""
        served = engine.registry.cascades.get(model)
        if served is None:
            raise NotFound(f"unknown cascade {model[:80]!r}")
        return {"samples": None if samples is None else samples.of(served.cascade)}


def _file(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return Response(content, headers=HEADERS, media_type=media_type)

    return answer
