"""What a server says of itself over gRPC."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2, service_pb2_grpc

from loadtest.errors import TargetError

TIMEOUT_S = 10.0
UNREACHABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
UNKNOWN = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED)
Metadata = tuple[tuple[str, str], ...]


class GrpcControl:
    """See `wire.Control`. `metadata` goes with every call."""

    def __init__(self, url: str, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self.url = url
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._metadata = metadata

    async def check_ready(self) -> None:
        with self._translated():
            reply = await self._call("ServerReady", service_pb2.ServerReadyRequest())
        if not reply.ready:
            raise TargetError(f"{self.url}: not ready")

    async def config(self, model: str) -> Any:
        reply = await self._ask("ModelConfig", service_pb2.ModelConfigRequest(name=model))
        return None if reply is None else reply.get("config", {})

    async def metadata(self, model: str) -> Any:
        reply = await self._ask("ModelMetadata", service_pb2.ModelMetadataRequest(name=model))
        return None if reply is None else {"inputs": [], "outputs": [], **reply}

    async def statistics(self) -> Any:
        reply = await self._ask("ModelStatistics", service_pb2.ModelStatisticsRequest())
        return None if reply is None else {"model_stats": [], **reply}

    async def index(self) -> Any:
        reply = await self._ask("RepositoryIndex", service_pb2.RepositoryIndexRequest())
        return None if reply is None else reply.get("models", [])

    async def _ask(self, method: str, request: Any) -> dict[str, Any] | None:
        """Fields that are empty are missing."""
        with self._translated():
            try:
                reply = await self._call(method, request)
            except grpc.aio.AioRpcError as error:
                if error.code() in UNKNOWN:
                    return None
                raise
        return MessageToDict(reply, preserving_proto_field_name=True)

    async def _call(self, method: str, request: Any) -> Any:
        return await getattr(self._stub, method)(request, timeout=TIMEOUT_S, metadata=self._metadata)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            what = "cannot be reached" if error.code() in UNREACHABLE else error.code().name
            raise TargetError(f"{self.url}: {what} ({error.details()})") from None
