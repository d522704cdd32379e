"""Open Inference Protocol v2 over HTTP, tensors binary."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import numpy as np
import orjson
from numpy.typing import NDArray

from loadtest.errors import TargetError, WireError
from loadtest.wire.client import CASCADE_PARAMETER, MISREAD, Answer, Reply, Request, Status, translated
from loadtest.wire.targets import Target
from loadtest.wire.tensors import NamedTensor, array_from_bytes

JSON_LENGTH = "Inference-Header-Content-Length"
CONTROL_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
# Below the five seconds after which servers commonly close a connection: a request sent into a closing
# one is lost, and would be counted against the server.
KEEP_ALIVE_S = 4.0
CPU_SECONDS = re.compile(r"^process_cpu_seconds_total(?:\{[^}]*\})?\s+(\S+)", re.MULTILINE)


def encode_infer(policy: str, inputs: Sequence[NamedTensor], outputs: Sequence[str]) -> Request:
    raw = [tensor.to_bytes() for tensor in inputs]
    head = {
        "parameters": {"policy": policy},
        "inputs": [_describe(tensor, len(data)) for tensor, data in zip(inputs, raw, strict=True)],
        "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in outputs],
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    headers = {JSON_LENGTH: str(len(text)), "Content-Type": "application/octet-stream"}
    return Request(b"".join([text, *raw]), headers)


def _describe(tensor: NamedTensor, num_bytes: int) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": tensor.shape,
        "datatype": tensor.datatype,
        "parameters": {"binary_data_size": num_bytes},
    }


def decode_infer(body: bytes, json_bytes: int | None) -> Answer:
    """Outputs may be binary, in the order of the JSON, or plain JSON."""
    split = len(body) if json_bytes is None else json_bytes
    try:
        head = orjson.loads(body[:split])
        is_degraded = bool((head.get("parameters") or {}).get("degraded", False))
        outputs, position = {}, split
        for output in head["outputs"]:
            size = (output.get("parameters") or {}).get("binary_data_size")
            raw = body[position : position + (size or 0)]
            outputs[output["name"]] = _json_array(output) if size is None else _binary_array(output, raw)
            position += size or 0
    except MISREAD as error:
        raise WireError(f"the answer is not what the protocol says ({error!r})") from None
    if position != len(body):
        raise WireError(f"the answer has {len(body)} bytes where its JSON accounts for {position}")
    return Answer(outputs, is_degraded)


def _binary_array(output: Mapping[str, Any], raw: bytes) -> NDArray[Any]:
    return array_from_bytes(output["name"], output["datatype"], output["shape"], raw)


def _json_array(output: Mapping[str, Any]) -> NDArray[Any]:
    return np.array(output["data"]).reshape(output["shape"])


class HttpClient:
    """See `wire.Client`."""

    def __init__(self, target: Target, model: str) -> None:
        self.target = target
        self._model = model
        self._infer_url = f"{target.url}/v2/models/{model}/infer"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None),
            # Whatever the environment says of proxies: the guard for loopback must hold.
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    async def check_ready(self) -> None:
        status, _ = await self._get("/v2/health/ready")
        if status != 200:
            raise TargetError(f"{self.target.url}: not ready (status {status})")

    async def model_names(self) -> tuple[str, ...]:
        return tuple(await self.executed_rows())

    async def cascade_json(self) -> str | None:
        status, body = await self._get(f"/v2/models/{self._model}/config")
        if status != 200:
            return None
        with translated(f"{self.target.url}: the configuration of {self._model!r}"):
            return cascade_text(orjson.loads(body))

    async def executed_rows(self) -> Mapping[str, int]:
        status, body = await self._get("/v2/models/stats")
        if status != 200:
            raise TargetError(f"{self.target.url}: /v2/models/stats answers {status}")
        rows: Counter[str] = Counter()
        with translated(f"{self.target.url}: /v2/models/stats"):
            for model in orjson.loads(body)["model_stats"]:
                rows[str(model["name"])] += int(model.get("inference_count", 0))
        return rows

    async def server_cpu_s(self) -> float | None:
        status, body = await self._get("/metrics")
        seconds = CPU_SECONDS.findall(body.decode(errors="replace")) if status == 200 else []
        with translated(f"{self.target.url}: /metrics"):
            return sum(map(float, seconds)) if seconds else None

    async def send(self, request: Request) -> Reply:
        try:
            async with self._session.post(
                self._infer_url, data=request.body, headers=request.headers
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            return Reply(Status.BROKEN, detail=f"{type(error).__name__}: {error}")
        if response.status != 200:
            return Reply(Status.REFUSED, detail=f"{response.status}: {_error_text(body)}")
        length = response.headers.get(JSON_LENGTH)
        return Reply(Status.OK, body, int(length) if length and length.isdigit() else None)

    def encode(self, policy: str, inputs: Sequence[NamedTensor], outputs: Sequence[str]) -> Request:
        return encode_infer(policy, inputs, outputs)

    def decode(self, reply: Reply) -> Answer:
        return decode_infer(reply.body, reply.json_bytes)

    async def close(self) -> None:
        await self._session.close()

    async def _get(self, path: str) -> tuple[int, bytes]:
        try:
            async with self._session.get(self.target.url + path, timeout=CONTROL_TIMEOUT) as response:
                return response.status, await response.read()
        except TimeoutError:
            raise TargetError(f"{self.target.url}: {path} does not answer") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TargetError(f"{self.target.url}: cannot be reached ({error})") from None


def cascade_text(config: Any) -> str | None:
    """The cascade file in a model's configuration, None where it holds none."""
    parameter = (config.get("parameters") or {}).get(CASCADE_PARAMETER)
    if parameter is None:
        return None
    text = parameter["string_value"]
    if not isinstance(text, str):
        raise TypeError(f"string_value is {text!r}")
    return text


def _error_text(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except MISREAD:
        return body[:200].decode(errors="replace")
