"""GRPCInferenceService: the protocol over gRPC."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
from google.protobuf.json_format import ParseDict
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from serving.answers import respond
from serving.engine import Engine
from serving.errors import Fault, RequestError, StartupError
from serving.grpc_codec import decode, encode
from serving.metadata import model_config, model_metadata, model_statistics, server_metadata

CODES = {
    Fault.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Fault.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Fault.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Fault.UNSUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    Fault.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Fault.INTERNAL: grpc.StatusCode.INTERNAL,
}
Context: TypeAlias = Any


@asynccontextmanager
async def _translated(context: Context) -> AsyncIterator[None]:
    """Our errors as gRPC's."""
    try:
        yield
    except RequestError as error:
        await context.abort(CODES[error.fault], str(error))


class InferenceService(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """The methods' names are the protocol's. What is not overridden here answers UNIMPLEMENTED."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ServerLive(self, request: Any, context: Context) -> Any:  # noqa: N802
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Context) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=self._engine.is_accepting)

    async def ModelReady(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _translated(context):
            self._engine.registry.cascade(request.name, request.version)
            return pb.ModelReadyResponse(ready=self._engine.is_accepting)

    async def ServerMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        return ParseDict(server_metadata(), pb.ServerMetadataResponse())

    async def ModelMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _translated(context):
            served = self._engine.registry.cascade(request.name, request.version)
            return ParseDict(model_metadata(served), pb.ModelMetadataResponse())

    async def ModelConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _translated(context):
            served = self._engine.registry.cascade(request.name, request.version)
            config = model_config(served, self._engine.limits.max_request_rows)
            return ParseDict({"config": config}, pb.ModelConfigResponse())

    async def ModelStatistics(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _translated(context):
            if request.name:
                self._engine.registry.cascade(request.name, request.version)
            counters = model_statistics(self._engine.registry, self._engine.statistics, request.name)
            return ParseDict(counters, pb.ModelStatisticsResponse())

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _translated(context):
            decoded = decode(request)
            job = await self._engine.infer(decoded)
            return encode(respond(decoded, job))


async def start_grpc(engine: Engine, host: str, port: int) -> tuple[grpc.aio.Server, int]:
    """A started server and the port it got. Without SO_REUSEPORT, which would let two servers share one
    port without a word."""
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", engine.limits.max_body_bytes),
            ("grpc.max_send_message_length", -1),
        ]
    )
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(InferenceService(engine), server)
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError:
        bound = 0
    if bound == 0:
        raise StartupError(f"gRPC port {port} on {host} is in use or not to be had")
    await server.start()
    return server, bound
