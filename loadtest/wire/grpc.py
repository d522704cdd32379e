"""Open Inference Protocol v2 over gRPC, tensors as raw contents."""

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from loadtest.errors import WireError
from loadtest.wire.client import Answer, Ask, Reply, Request, Status
from loadtest.wire.control import describe_model, fetch_statistics
from loadtest.wire.grpc_control import GrpcControl
from loadtest.wire.model_statistics import ModelStatistics
from loadtest.wire.options import WireOptions
from loadtest.wire.served import ServedModel
from loadtest.wire.targets import Target
from loadtest.wire.tensors import array_from_bytes
from loadtest.wire.tls import grpc_credentials

INFER = "/inference.GRPCInferenceService/ModelInfer"
# A large message is the server's to refuse; Python's own limit of 4 MiB would hide its answer.
# Whatever the environment says of proxies, the guard for loopback must hold.
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)
TRANSPORT_WORDS = ("connect", "socket", "goaway", "transport")


def encode_infer(model: str, ask: Ask) -> Request:
    message = service_pb2.ModelInferRequest(model_name=model)
    for name, value in ask.parameters.items():
        if isinstance(value, str):
            message.parameters[name].string_param = value
        else:
            message.parameters[name].int64_param = value
    for tensor in ask.inputs:
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_input_contents.append(tensor.to_bytes())
    for name in ask.outputs:
        message.outputs.add(name=name)
    return Request(message.SerializeToString())


def decode_infer(body: bytes) -> Answer:
    try:
        message = service_pb2.ModelInferResponse.FromString(body)
    except DecodeError as error:
        raise WireError(f"the answer is not what the protocol says ({error})") from None
    described, raw_contents = message.outputs, message.raw_output_contents
    if len(described) != len(raw_contents):
        raise WireError(f"the answer has {len(described)} outputs and {len(raw_contents)} raw contents")
    pairs = zip(described, raw_contents, strict=True)
    outputs = {o.name: array_from_bytes(o.name, o.datatype, list(o.shape), raw) for o, raw in pairs}
    is_degraded = "degraded" in message.parameters and message.parameters["degraded"].bool_param
    return Answer(outputs, is_degraded)


class GrpcClient:
    """See `wire.Client`. Inference goes past the stub: bodies are serialised before the clock starts and
    parsed after it has stopped."""

    def __init__(self, target: Target, model: str, options: WireOptions) -> None:
        self.target = target
        self._model = model
        self._output = options.output
        self._metadata = () if options.token is None else (("authorization", f"Bearer {options.token}"),)
        self._channel = _open_channel(target, options)
        self._control = GrpcControl(target.url, self._channel, self._metadata)
        self._infer = self._channel.unary_unary(INFER)

    async def check_ready(self) -> None:
        await self._control.check_ready()

    async def describe(self) -> ServedModel:
        return await describe_model(self._control, self._model, self._output)

    async def statistics(self) -> Mapping[str, ModelStatistics]:
        return await fetch_statistics(self._control)

    async def server_cpu_s(self) -> float | None:
        return None

    async def send(self, request: Request) -> Reply:
        try:
            return Reply(Status.OK, await self._infer(request.body, metadata=self._metadata))
        except grpc.aio.AioRpcError as error:
            return Reply(_status(error), detail=f"{error.code().name}: {error.details()}")

    def encode(self, ask: Ask) -> Request:
        return encode_infer(self._model, ask)

    def decode(self, reply: Reply) -> Answer:
        return decode_infer(reply.body)

    async def close(self) -> None:
        await self._channel.close()


def _open_channel(target: Target, options: WireOptions) -> Any:
    if target.is_tls:
        return grpc.aio.secure_channel(target.authority, grpc_credentials(options), CHANNEL_OPTIONS)
    return grpc.aio.insecure_channel(target.authority, CHANNEL_OPTIONS)


def _status(error: grpc.aio.AioRpcError) -> Status:
    if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Status.SHED
    if error.code() != grpc.StatusCode.UNAVAILABLE:
        return Status.REFUSED
    return Status.BROKEN if _is_broken(error) else Status.SHED


def _is_broken(error: grpc.aio.AioRpcError) -> bool:
    """UNAVAILABLE is both a server's own answer (503) and gRPC's word for a lost connection; only the
    latter speaks of the transport."""
    details = (error.details() or "").lower()
    return any(word in details for word in TRANSPORT_WORDS)
