"""grpc.health.v1: what load balancers and orchestrators ask, once or for as long as they watch."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from grpc_health.v1 import health_pb2 as pb  # type: ignore[import-untyped]

from serving.engine import Engine
from serving.errors import NotFound, RequestError

WHOLE_SERVER = ("", "inference.GRPCInferenceService")
SERVING: int = pb.HealthCheckResponse.SERVING
NOT_SERVING: int = pb.HealthCheckResponse.NOT_SERVING
UNKNOWN: int = pb.HealthCheckResponse.SERVICE_UNKNOWN


class HealthService:
    """Services are the server as a whole, under two names, and each model. The methods' names are the
    protocol's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_ended = False
        self._change = asyncio.Event()

    def changed(self) -> None:
        """Whoever watches looks again."""
        self._change.set()
        self._change = asyncio.Event()

    def end(self) -> None:
        """Nothing is served any more. Watches are told so and end, for an open call would hold a drain up."""
        self._is_ended = True
        self.changed()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        status = self._status(request.service)
        if status == UNKNOWN:
            raise NotFound(f"unknown service {request.service[:80]!r}")
        return pb.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        told = None
        while True:
            # Taken first, so that no change falls between the look and the wait, nor into the telling.
            change, is_ended = self._change, self._is_ended
            status = self._status(request.service)
            if status != told:
                yield pb.HealthCheckResponse(status=status)
                told = status
            if is_ended:
                return
            await change.wait()

    def _status(self, service: str) -> int:
        if service not in WHOLE_SERVER:
            try:
                self._engine.registry.model(service)
            except RequestError:
                return UNKNOWN
        return SERVING if self._engine.is_accepting and not self._is_ended else NOT_SERVING
