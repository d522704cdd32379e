"""GRPCInferenceService: the protocol over gRPC."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
from google.protobuf.json_format import ParseDict
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from serving.answers import respond
from serving.engine import Engine
from serving.errors import Fault, RequestError, StartupError, TooLarge
from serving.grpc_codec import decode, encode
from serving.metadata import (
    model_config,
    model_metadata,
    model_statistics,
    repository_index,
    server_metadata,
)

CODES = {
    Fault.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Fault.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Fault.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Fault.UNSUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    Fault.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Fault.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Fault.TIMED_OUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    Fault.INTERNAL: grpc.StatusCode.INTERNAL,
}
Context: TypeAlias = Any
log = logging.getLogger("exitgate")


@asynccontextmanager
async def _translated(context: Context) -> AsyncIterator[None]:
    """Our errors as gRPC's."""
    try:
        yield
    except RequestError as error:
        await context.abort(CODES[error.fault], str(error))
    except Exception as error:  # a bug: the client gets a proper status all the same
        log.exception("a request failed")
        await context.abort(grpc.StatusCode.INTERNAL, f"internal error: {type(error).__name__}")


class InferenceService(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """The methods' names are the protocol's. Those that are missing here are refused, see below."""

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

    async def RepositoryIndex(self, request: Any, context: Context) -> Any:  # noqa: N802
        models = repository_index(self._engine.registry, self._engine.is_accepting, request.ready)
        return ParseDict({"models": models}, pb.RepositoryIndexResponse())

    def _check_size(self, request: Any) -> None:
        typed_bytes = request.ByteSize() - sum(map(len, request.raw_input_contents))
        if typed_bytes > self._engine.limits.max_json_bytes:
            limit = self._engine.limits.max_json_bytes
            raise TooLarge(f"more than {limit} bytes beside raw contents; use raw_input_contents")

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _translated(context):
            return await self._infer(request)

    async def _infer(self, request: Any) -> Any:
        self._check_size(request)
        decoded = decode(request)
        job = await self._engine.infer(decoded)
        return encode(respond(decoded, job))

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:  # noqa: N802
        """One answer a request, in their order; an error is that request's alone, and the stream goes on."""
        async for request in requests:
            yield await self._stream_answer(request)

    async def _stream_answer(self, request: Any) -> Any:
        try:
            return pb.ModelStreamInferResponse(infer_response=await self._infer(request))
        except RequestError as error:
            message = str(error)
        except Exception as error:  # a bug: the client gets an answer all the same
            log.exception("a request failed")
            message = f"internal error: {type(error).__name__}"
        named = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        return pb.ModelStreamInferResponse(error_message=message, infer_response=named)


async def _refuse(self: InferenceService, request: Any, context: Context) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this method is not supported by this server")


for _method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name:
    if _method not in vars(InferenceService):
        setattr(InferenceService, _method, _refuse)


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
