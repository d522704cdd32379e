"""GRPCInferenceService: the protocol over gRPC."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2 as pb

from serving.answers import respond
from serving.edge_errors import internal_error
from serving.errors import NotFound, RequestError, StartupError, TooLarge
from serving.grpc.calls import Context, add_service, parsed
from serving.grpc.codec import decode, encode
from serving.grpc.extensions import Extensions
from serving.grpc.guard import TokenGuard
from serving.grpc.streams import Streams
from serving.metadata import (
    model_config,
    model_metadata,
    model_statistics,
    repository_index,
    server_metadata,
)
from serving.request_checks import Intake
from serving.safety import NO_SAFETY, Safety
from serving.services import Services
from serving.tls import Tls

log = logging.getLogger("exitgate")


class InferenceService(Extensions):
    """The methods' names are the protocol's."""

    def __init__(self, services: Services, streams: Streams) -> None:
        super().__init__(services)
        self._engine = services.engine
        self._streams = streams

    async def ServerLive(self, request: Any, context: Context) -> Any:  # noqa: N802
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Context) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=self._engine.is_accepting)

    async def ModelReady(self, request: Any, context: Context) -> Any:  # noqa: N802
        """As Triton answers, what is not there is not ready, which is no error."""
        try:
            self._engine.registry.model(request.name, request.version)
        except NotFound:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self._engine.is_accepting)

    async def ServerMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        metadata = server_metadata(shares_memory=self._services.memory.is_allowed)
        return ParseDict(metadata, pb.ServerMetadataResponse())

    async def ModelMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        metadata = model_metadata(self._engine.registry, request.name, request.version)
        return ParseDict(metadata, pb.ModelMetadataResponse())

    async def ModelConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        served = self._engine.registry.model(request.name, request.version)
        config = model_config(served, self._engine.limits.max_request_rows)
        return ParseDict({"config": config}, pb.ModelConfigResponse())

    async def ModelStatistics(self, request: Any, context: Context) -> Any:  # noqa: N802
        engine = self._engine
        counters = model_statistics(engine.registry, engine.statistics, request.name, request.version)
        return ParseDict(counters, pb.ModelStatisticsResponse())

    async def RepositoryIndex(self, request: Any, context: Context) -> Any:  # noqa: N802
        models = repository_index(self._engine.registry, self._engine.is_accepting, request.ready)
        return ParseDict({"models": models}, pb.RepositoryIndexResponse())

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802
        remaining_s = context.time_remaining()
        deadline_s = math.inf if remaining_s is None else time.monotonic() + remaining_s
        return await self._infer(request, deadline_s, context)

    async def _infer(self, message: Any, deadline_s: float, context: Context) -> Any:
        served = self._engine.registry.model(message.model_name, message.model_version)
        num_bytes = message.ByteSize()
        num_typed = num_bytes - sum(map(len, message.raw_input_contents))
        self._check_typed(num_typed)
        intake = Intake(served, self._engine.limits, self._services.memory, num_slow=num_typed)
        if intake.takes_long(num_bytes):
            request, placements = await asyncio.to_thread(decode, message, intake, deadline_s)
        else:
            request, placements = decode(message, intake, deadline_s)
        if self._services.is_traced:
            request = replace(request, traceparent=_traceparent(context))
        job = await self._engine.infer(request)
        return encode(respond(request, job), placements)

    def _check_typed(self, num_typed: int) -> None:
        """What is not raw takes long to decode."""
        limit = self._engine.limits.max_json_bytes
        if num_typed > limit:
            raise TooLarge(f"more than {limit} bytes beside raw contents; use raw_input_contents")

    async def ModelStreamInfer(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:  # noqa: N802
        """One answer a request, in their order; an error is that request's alone, and the stream goes on."""
        async for message in self._streams.until_drained(messages):
            yield await self._stream_answer(message, context)
        if self._streams.is_draining:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")

    async def _stream_answer(self, data: bytes, context: Context) -> Any:
        """A stream's deadline is not its requests', but its trace is."""
        named = pb.ModelInferResponse()
        try:
            request = parsed(pb.ModelInferRequest, data)
            named = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
            return pb.ModelStreamInferResponse(infer_response=await self._infer(request, math.inf, context))
        except RequestError as error:
            text = str(error)
        except Exception as error:  # a bug: the client gets an answer all the same
            log.exception("a request failed")
            text = internal_error(error)
        return pb.ModelStreamInferResponse(error_message=text, infer_response=named)


def _traceparent(context: Context) -> str:
    return next((str(value) for key, value in context.invocation_metadata() if key == "traceparent"), "")


async def start_grpc(
    services: Services,
    streams: Streams,
    host: str,
    port: int,
    safety: Safety = NO_SAFETY,
    *,
    is_shared: bool = False,
) -> tuple[grpc.aio.Server, int]:
    """A started server and the port it got. Unless the port `is_shared`, without SO_REUSEPORT, which would
    let two servers share one without a word. gRPC bounds a message's length both as it comes and once it is
    unpacked."""
    server = grpc.aio.server(
        interceptors=() if safety.tokens is None else (TokenGuard(safety.tokens),),
        options=[
            ("grpc.so_reuseport", int(is_shared)),
            ("grpc.max_receive_message_length", services.engine.limits.max_body_bytes),
            ("grpc.max_send_message_length", -1),
        ],
    )
    inference = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    add_service(server, inference, InferenceService(services, streams))
    add_service(server, health_pb2.DESCRIPTOR.services_by_name["Health"], services.health)
    try:
        bound = _add_port(server, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", safety.tls)
    except RuntimeError:
        bound = 0
    if bound == 0:
        raise StartupError(f"gRPC port {port} on {host} is in use or not to be had")
    await server.start()
    return server, bound


def _add_port(server: grpc.aio.Server, address: str, tls: Tls | None) -> int:
    if tls is None:
        return int(server.add_insecure_port(address))
    return int(server.add_secure_port(address, tls.credentials))
