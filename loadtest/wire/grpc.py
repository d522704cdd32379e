"""Open Inference Protocol v2 over gRPC, tensors as raw contents."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2, service_pb2_grpc

from loadtest.errors import TargetError, WireError
from loadtest.wire.client import CASCADE_PARAMETER, Answer, Reply, Request, Status
from loadtest.wire.targets import Target
from loadtest.wire.tensors import NamedTensor, array_from_bytes

INFER = "/inference.GRPCInferenceService/ModelInfer"
CONTROL_TIMEOUT_S = 10.0
# A large message is the server's to refuse; Python's own limit of 4 MiB would hide its answer.
# Whatever the environment says of proxies, the guard for loopback must hold.
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)
UNREACHABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

TRANSPORT_WORDS = ("connect", "socket", "goaway", "transport")


def encode_infer(model: str, policy: str, inputs: Sequence[NamedTensor], outputs: Sequence[str]) -> Request:
    message = service_pb2.ModelInferRequest(model_name=model)
    message.parameters["policy"].string_param = policy
    for tensor in inputs:
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_input_contents.append(tensor.to_bytes())
    for name in outputs:
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

    def __init__(self, target: Target, model: str) -> None:
        self.target = target
        self._model = model
        self._channel = grpc.aio.insecure_channel(target.authority, options=CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._infer = self._channel.unary_unary(INFER)

    async def check_ready(self) -> None:
        reply = await self._ask("ServerReady", service_pb2.ServerReadyRequest())
        if not reply.ready:
            raise TargetError(f"{self.target.url}: not ready")

    async def model_names(self) -> tuple[str, ...]:
        return tuple(await self.executed_rows())

    async def cascade_json(self) -> str | None:
        request = service_pb2.ModelConfigRequest(name=self._model)
        with self._translated():
            try:
                reply = await self._stub.ModelConfig(request, timeout=CONTROL_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                    return None
                raise
        parameters = reply.config.parameters
        return parameters[CASCADE_PARAMETER].string_value if CASCADE_PARAMETER in parameters else None

    async def executed_rows(self) -> Mapping[str, int]:
        reply = await self._ask("ModelStatistics", service_pb2.ModelStatisticsRequest())
        rows: Counter[str] = Counter()
        for model in reply.model_stats:
            rows[model.name] += int(model.inference_count)
        return rows

    async def server_cpu_s(self) -> float | None:
        return None

    async def send(self, request: Request) -> Reply:
        try:
            return Reply(Status.OK, await self._infer(request.body))
        except grpc.aio.AioRpcError as error:
            status = Status.BROKEN if _is_broken(error) else Status.REFUSED
            return Reply(status, detail=f"{error.code().name}: {error.details()}")

    def encode(self, policy: str, inputs: Sequence[NamedTensor], outputs: Sequence[str]) -> Request:
        return encode_infer(self._model, policy, inputs, outputs)

    def decode(self, reply: Reply) -> Answer:
        return decode_infer(reply.body)

    async def close(self) -> None:
        await self._channel.close()

    async def _ask(self, method: str, request: Any) -> Any:
        with self._translated():
            return await getattr(self._stub, method)(request, timeout=CONTROL_TIMEOUT_S)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            what = "cannot be reached" if error.code() in UNREACHABLE else error.code().name
            raise TargetError(f"{self.target.url}: {what} ({error.details()})") from None


def _is_broken(error: grpc.aio.AioRpcError) -> bool:
    """UNAVAILABLE is both a server's own answer (503) and gRPC's word for a lost connection; only the
    latter speaks of the transport."""
    details = (error.details() or "").lower()
    return error.code() == grpc.StatusCode.UNAVAILABLE and any(word in details for word in TRANSPORT_WORDS)
