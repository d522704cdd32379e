"""Tokens over gRPC: an interceptor before every method, known or not, so that none can be forgotten."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from serving.grpc.calls import Context
from serving.tokens import Tokens, refusal

OPEN = frozenset(
    (
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
    )
)
HEADER = "authorization"


class TokenGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Asks nothing of whoever asks after the server's health. No message is read before its token is."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        authorization = _authorization(details.invocation_metadata)
        if self._tokens.admit(authorization) or details.method in OPEN:
            return await continuation(details)
        return REFUSED_UNKNOWN if authorization is not None else REFUSED_MISSING


def _authorization(metadata: Any) -> bytes | None:
    for key, value in metadata:
        if key == HEADER:
            return value.encode() if isinstance(value, str) else bytes(value)
    return None


def _refusing(authorization: bytes | None) -> Any:
    """As a stream it is answered at once; of another kind a message would be waited for first."""
    text = refusal(authorization)

    async def refuse(messages: Any, context: Context) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)

    return grpc.stream_stream_rpc_method_handler(refuse)


REFUSED_MISSING, REFUSED_UNKNOWN = _refusing(None), _refusing(b"")
