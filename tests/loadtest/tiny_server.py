"""A server that is real down to its sockets, and whose answers can be worked out by hand.

It serves the cascade `tiny`: rows of `x` FP32 (2,), the first number being the score at stage 1 and the
second the answer. Policy `window`, the default, forwards scores within [0.4, 0.6]; all policies accept scores
from 0.5 on. Its member `tiny-0` is a plain model, whose `logits` say the answer at once.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from aiohttp import web
from google.protobuf.json_format import ParseDict
from tritonclient.grpc import service_pb2, service_pb2_grpc

from cascade.cascade_file import Cascade, Member, TensorSpec, cascade_to_json
from cascade.policy import Policy
from cascade.window import Window

MACS = (10.0, 30.0)
DATATYPES = {
    "probabilities": "FP32",
    "label": "INT64",
    "score": "FP32",
    "confidence": "FP32",
    "accepted": "BOOL",
    "exit_stage": "INT32",
    "exit_reason": "BYTES",
    "logits": "FP32",
}
DTYPES = {"FP32": "<f4", "INT64": "<i8", "BOOL": "?", "INT32": "<i4"}


def tiny_cascade() -> Cascade:
    names = ("tiny-0", "tiny-1")
    return Cascade(
        name="tiny",
        version=3,
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),),
        classes=("a", "b"),
        members=tuple(
            Member(name=name, version=1, sha256=name, macs=macs, inputs={"x": "x"})
            for name, macs in zip(names, MACS, strict=True)
        ),
        stages=tuple((name,) for name in names),
        policies={
            "first": Policy(kind="first", num_stages=2),
            "window": Policy(kind="window", num_stages=2, windows=(Window(0.4, 0.6),)),
            "full": Policy(kind="full", num_stages=2),
        },
        default_policy="window",
    )


PLAIN = "tiny-0"
PLAIN_METADATA = {
    "name": PLAIN,
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 2]}],
}


def answers(x: np.ndarray, policy: str) -> dict[str, np.ndarray]:
    score, label = x[:, 0], x[:, 1].astype(np.int64)
    goes_on = {"first": score < -1, "full": score > -1, "window": (score >= 0.4) & (score <= 0.6)}[policy]
    return {
        "probabilities": np.stack([1 - x[:, 1], x[:, 1]], axis=1),
        "label": label,
        "score": score,
        "confidence": score,
        "accepted": score >= 0.5,
        "exit_stage": np.where(goes_on, 2, 1).astype(np.int32),
        "exit_reason": np.where(goes_on, "last", policy),
    }


def raw(name: str, array: np.ndarray) -> bytes:
    if DATATYPES[name] != "BYTES":
        return array.astype(DTYPES[DATATYPES[name]]).tobytes()
    return b"".join(len(text).to_bytes(4, "little") + text.encode() for text in array.tolist())


@dataclass
class TinyServer:
    """Knobs may be turned while it runs. `stall_at`, `strike_at` and `refuse_every` count inference requests
    from 1, a census's and a warm-up's too; `strike` is the signal that its process then sends to itself.
    `parameters` are those of the last request over HTTP. `control` holds JSON by path, answered in the place
    of what belongs there."""

    http_port: int = 0
    grpc_port: int = 0
    stall_at: int = 0
    stall_s: float = 0.0
    strike_at: int = 0
    strike: int = 0
    refuse_every: int = 0
    garble_grpc: bool = False
    uncounted_rows: int = 0
    other_rows: int = 0
    is_statistics_broken: bool = False
    control: dict[str, Any] = field(default_factory=dict)
    num_requests: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    executed: dict[str, int] = field(default_factory=lambda: {"tiny": 0, "tiny-0": 0, "tiny-1": 0})

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc_url(self) -> str:
        return f"grpc://127.0.0.1:{self.grpc_port}"

    def infer(self, data: bytes, shape: list[int], policy: str, model: str) -> dict[str, np.ndarray] | None:
        """None where the request is refused."""
        self.num_requests += 1
        if self.num_requests == self.stall_at:
            time.sleep(self.stall_s)
        if self.num_requests == self.strike_at:
            os.kill(os.getpid(), self.strike)
        if self.refuse_every and self.num_requests % self.refuse_every == 0:
            return None
        x = np.frombuffer(data, "<f4").reshape(shape)
        if model == PLAIN:
            self.executed[PLAIN] += shape[0]
            return {"logits": np.stack([1 - x[:, 1], x[:, 1]], axis=1)}
        outputs = answers(x, policy)
        self.executed["tiny"] += shape[0] + self.other_rows
        self.executed["tiny-0"] += shape[0] - self.uncounted_rows
        self.executed["tiny-1"] += int((outputs["exit_stage"] == 2).sum())
        return outputs


def as_json(name: str, array: np.ndarray) -> dict[str, Any]:
    shape = list(array.shape)
    return {"name": name, "datatype": DATATYPES[name], "shape": shape, "data": array.ravel().tolist()}


class Http:
    def __init__(self, server: TinyServer) -> None:
        self._server = server

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.foreign])
        app.router.add_get("/v2/health/ready", self.ready)
        app.router.add_get("/v2/models/stats", self.stats)
        app.router.add_get("/v2/models/{name}/config", self.config)
        app.router.add_get("/v2/models/{name}", self.metadata)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_post("/v2/models/{name}/infer", self.infer)
        return app

    @web.middleware
    async def foreign(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path in self._server.control:
            return web.json_response(self._server.control[request.path])
        response: web.StreamResponse = await handler(request)
        return response

    async def ready(self, request: web.Request) -> web.Response:
        return web.json_response({"ready": True})

    async def stats(self, request: web.Request) -> web.Response:
        if self._server.is_statistics_broken:
            return web.json_response({"error": "no statistics"}, status=500)
        stats = [{"name": name, "inference_count": rows} for name, rows in self._server.executed.items()]
        return web.json_response({"model_stats": stats})

    async def config(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._server.executed:
            return web.json_response({"error": f"no model {name!r}"}, status=404)
        text = json.dumps(cascade_to_json(tiny_cascade()))
        parameters = {"cascade": {"string_value": text}} if name == "tiny" else {}
        return web.json_response({"name": name, "parameters": parameters})

    async def metadata(self, request: web.Request) -> web.Response:
        if request.match_info["name"] != PLAIN or PLAIN not in self._server.executed:
            return web.json_response({"error": "no such model"}, status=404)
        return web.json_response(PLAIN_METADATA)

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=f"# TYPE x counter\nprocess_cpu_seconds_total {time.process_time()}\n")

    async def infer(self, request: web.Request) -> web.Response:
        body = await request.read()
        split = int(request.headers.get("Inference-Header-Content-Length", len(body)))
        head = json.loads(body[:split])
        self._server.parameters = head.get("parameters", {})
        policy = self._server.parameters.get("policy", "window")
        (x,) = head["inputs"]
        data = np.array(x["data"], "<f4").tobytes() if "data" in x else body[split:]
        outputs = self._server.infer(data, x["shape"], policy, request.match_info["name"])
        if outputs is None:
            return web.json_response({"error": "too busy"}, status=503, headers={"Retry-After": "1"})
        names = [output["name"] for output in head["outputs"]]
        if "data" in x:
            return web.json_response({"outputs": [as_json(name, outputs[name]) for name in names]})
        blobs = [raw(name, outputs[name]) for name in names]
        described = [
            {
                "name": name,
                "datatype": DATATYPES[name],
                "shape": list(outputs[name].shape),
                "parameters": {"binary_data_size": len(blob)},
            }
            for name, blob in zip(names, blobs, strict=True)
        ]
        text = json.dumps({"parameters": {"degraded": False}, "outputs": described}).encode()
        headers = {"Inference-Header-Content-Length": str(len(text))}
        return web.Response(body=b"".join([text, *blobs]), headers=headers)


class Grpc(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, server: TinyServer) -> None:
        self._server = server

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=True)

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name not in self._server.executed:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        reply = service_pb2.ModelConfigResponse()
        reply.config.name = request.name
        if request.name == "tiny":
            reply.config.parameters["cascade"].string_value = json.dumps(cascade_to_json(tiny_cascade()))
        return reply

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name != PLAIN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        return ParseDict(PLAIN_METADATA, service_pb2.ModelMetadataResponse())

    async def ModelStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802
        reply = service_pb2.ModelStatisticsResponse()
        for name, rows in self._server.executed.items():
            reply.model_stats.add(name=name, inference_count=rows)
        return reply

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        policy = request.parameters["policy"].string_param or "window"
        shape = list(request.inputs[0].shape)
        outputs = self._server.infer(request.raw_input_contents[0], shape, policy, request.model_name)
        if outputs is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "too busy")
            raise AssertionError
        if self._server.garble_grpc and "label" in outputs:
            outputs["label"] = 1 - outputs["label"]
        reply = service_pb2.ModelInferResponse(model_name="tiny")
        for output in request.outputs:
            array = outputs[output.name]
            reply.outputs.add(name=output.name, datatype=DATATYPES[output.name], shape=array.shape)
            reply.raw_output_contents.append(raw(output.name, array))
        return reply


@contextmanager
def tiny_server() -> Iterator[TinyServer]:
    """Both protocols on free ports of loopback, in a thread with a loop of its own."""
    server, loop = TinyServer(), asyncio.new_event_loop()
    is_up, is_done = threading.Event(), asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(Http(server).app())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.http_port = runner.addresses[0][1]
        grpc_server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Grpc(server), grpc_server)
        server.grpc_port = grpc_server.add_insecure_port("127.0.0.1:0")
        await grpc_server.start()
        is_up.set()
        await is_done.wait()
        await grpc_server.stop(None)
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    is_up.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(is_done.set)
        thread.join(10)
        loop.close()


if __name__ == "__main__":
    with tiny_server() as running:
        running.strike, running.strike_at = map(int, sys.argv[1:])
        print(running.http_url, flush=True)
        threading.Event().wait()
