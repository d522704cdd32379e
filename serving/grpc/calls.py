"""Every call over gRPC: its bytes to a message, its errors to a status.

Messages are parsed here and not by gRPC, which would call what is none the server's fault.
"""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from serving.edge_errors import internal_error, retry_after_s
from serving.errors import Fault, InvalidRequest, RequestError

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
Call = Callable[[Any, Context], Any]
log = logging.getLogger("exitgate")


def add_service(server: grpc.aio.Server, service: ServiceDescriptor, servicer: object) -> None:
    """Serve every method of the protocol's service by the servicer's of the same name."""
    handlers = {method.name: _handler(method, getattr(servicer, method.name)) for method in service.methods}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
    server.add_registered_method_handlers(service.full_name, handlers)


def _handler(method: MethodDescriptor, call: Call) -> grpc.RpcMethodHandler:
    """Three kinds: one message for one, many for one (a watch), many for many (a stream)."""
    kind = GetMessageClass(method.input_type)
    serialise = GetMessageClass(method.output_type).SerializeToString
    if method.client_streaming:
        # The servicer parses, since an error is that one message's alone.
        return grpc.stream_stream_rpc_method_handler(call, response_serializer=serialise)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_watch(call, kind), response_serializer=serialise)
    return grpc.unary_unary_rpc_method_handler(_single(call, kind), response_serializer=serialise)


def _single(call: Call, kind: type[Message]) -> Call:
    async def answer(data: bytes, context: Context) -> Any:
        try:
            return await call(parsed(kind, data), context)
        except RequestError as error:
            await _abort(context, error)
        except Exception as error:  # a bug: the client gets a proper status all the same
            log.exception("a request failed")
            await context.abort(grpc.StatusCode.INTERNAL, internal_error(error))

    return answer


def _watch(call: Call, kind: type[Message]) -> Call:
    async def answer(data: bytes, context: Context) -> AsyncIterator[Any]:
        try:
            request = parsed(kind, data)
        except RequestError as error:
            await _abort(context, error)
            return
        async for message in call(request, context):
            yield message

    return answer


def parsed(kind: type[Message], data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidRequest(f"{len(data)} bytes that are no {kind.DESCRIPTOR.name}") from None


async def _abort(context: Context, error: RequestError) -> None:
    seconds = retry_after_s(error)
    trailing = () if seconds is None else (("retry-after", str(seconds)),)
    await context.abort(CODES[error.fault], str(error), trailing)
