"""Open Inference Protocol v2 over HTTP."""

from collections.abc import Mapping
from urllib.parse import quote

from loadtest.wire.client import Answer, Ask, Reply, Request, Status
from loadtest.wire.control import describe_model, fetch_statistics
from loadtest.wire.http_codec import decode_infer, encode_binary, encode_json, http_message
from loadtest.wire.http_connection import HttpAnswer
from loadtest.wire.http_control import HttpControl, error_text
from loadtest.wire.http_pool import HttpPool
from loadtest.wire.model_statistics import ModelStatistics
from loadtest.wire.options import WireOptions
from loadtest.wire.served import ServedModel
from loadtest.wire.targets import Target
from loadtest.wire.tls import http_context

JSON_LENGTH = "Inference-Header-Content-Length"
REPLY_JSON_LENGTH = JSON_LENGTH.lower().encode()


class HttpClient:
    """See `wire.Client`. A request's body is the whole HTTP message, so that nothing is left to be done
    once the clock runs."""

    def __init__(self, target: Target, model: str, options: WireOptions) -> None:
        self.target = target
        self._model = model
        self._options = options
        self._pool = HttpPool(target, http_context(options) if target.is_tls else None)
        self._headers = {"Host": target.authority}
        if options.token is not None:
            self._headers["Authorization"] = f"Bearer {options.token}"
        self._control = HttpControl(target.url, self._pool, self._headers)

    async def check_ready(self) -> None:
        await self._control.check_ready()

    async def describe(self) -> ServedModel:
        return await describe_model(self._control, self._model, self._options.output)

    async def statistics(self) -> Mapping[str, ModelStatistics]:
        return await fetch_statistics(self._control)

    async def server_cpu_s(self) -> float | None:
        return await self._control.server_cpu_s()

    async def send(self, request: Request) -> Reply:
        try:
            answer = await self._pool.exchange(request.body)
        except OSError as error:
            return Reply(Status.BROKEN, detail=f"{type(error).__name__}: {error}")
        return _reply(answer)

    def encode(self, ask: Ask) -> Request:
        path = f"/v2/models/{quote(self._model, safe='')}/infer"
        if self._options.is_json:
            headers = {**self._headers, "Content-Type": "application/json"}
            return Request(http_message("POST", path, headers, encode_json(ask)))
        body, num_json_bytes = encode_binary(ask)
        headers = {
            **self._headers,
            "Content-Type": "application/octet-stream",
            JSON_LENGTH: str(num_json_bytes),
        }
        return Request(http_message("POST", path, headers, body))

    def decode(self, reply: Reply) -> Answer:
        return decode_infer(reply.body, reply.json_bytes)

    async def close(self) -> None:
        await self._pool.close()


def _reply(answer: HttpAnswer) -> Reply:
    if answer.status == 200:
        length = answer.headers.get(REPLY_JSON_LENGTH, b"")
        return Reply(Status.OK, answer.body, int(length) if length.isdigit() else None)
    again = answer.headers.get(b"retry-after")
    when = f" (retry after {again.decode(errors='replace')} s)" if again else ""
    status = Status.SHED if answer.status == 429 or (answer.status == 503 and again) else Status.REFUSED
    return Reply(status, detail=f"{answer.status}{when}: {error_text(answer.body)}")
