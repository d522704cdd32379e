"""What a server says of itself over HTTP."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from loadtest.errors import TargetError
from loadtest.wire.client import MISREAD, translated
from loadtest.wire.http_codec import http_message
from loadtest.wire.http_connection import HttpAnswer
from loadtest.wire.http_pool import HttpPool

TIMEOUT_S = 10.0
CPU_SECONDS = re.compile(r"^process_cpu_seconds_total(?:\{[^}]*\})?\s+(\S+)", re.MULTILINE)
# How servers say that they have no such model, or no such route.
UNKNOWN = (400, 404, 405, 501)
MAX_TEXT = 200


class HttpControl:
    """See `wire.Control`. `headers` go with every request."""

    def __init__(self, url: str, pool: HttpPool, headers: Mapping[str, str]) -> None:
        self.url = url
        self._pool = pool
        self._headers = headers

    async def check_ready(self) -> None:
        answer = await self._ask("GET", "/v2/health/ready")
        if answer.status != 200:
            raise TargetError(f"{self.url}: not ready (status {answer.status})")

    async def config(self, model: str) -> Any:
        return await self._json("GET", f"/v2/models/{quote(model, safe='')}/config")

    async def metadata(self, model: str) -> Any:
        return await self._json("GET", f"/v2/models/{quote(model, safe='')}")

    async def statistics(self) -> Any:
        return await self._json("GET", "/v2/models/stats")

    async def index(self) -> Any:
        return await self._json("POST", "/v2/repository/index")

    async def server_cpu_s(self) -> float | None:
        answer = await self._ask("GET", "/metrics")
        seconds = CPU_SECONDS.findall(answer.body.decode(errors="replace")) if answer.status == 200 else []
        with translated(f"{self.url}: /metrics"):
            return sum(map(float, seconds)) if seconds else None

    async def _json(self, method: str, path: str) -> Any:
        answer = await self._ask(method, path)
        if answer.status in UNKNOWN:
            return None
        if answer.status != 200:
            raise TargetError(f"{self.url}: {path} answers {answer.status}: {error_text(answer.body)}")
        with translated(f"{self.url}: {path}"):
            return orjson.loads(answer.body)

    async def _ask(self, method: str, path: str) -> HttpAnswer:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._pool.exchange(http_message(method, path, self._headers))
        except TimeoutError:
            raise TargetError(f"{self.url}: {path} does not answer") from None
        except OSError as error:
            raise TargetError(f"{self.url}: cannot be reached ({error})") from None


def error_text(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except MISREAD:
        return body[:MAX_TEXT].decode(errors="replace")
