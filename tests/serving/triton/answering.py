"""Real gRPC servers that answer a member's calls as they are told to, the truth or not."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as schema

from cascade.cascade_file import Cascade, TensorSpec
from cascade.cascade_file import Member as MemberSpec
from cascade.policy import Policy
from serving.triton.channel import connect
from serving.triton.config import TritonConfig
from serving.triton.member import TritonMember

CLASSES = 3
SPEC = MemberSpec(name="sums", version=7, sha256="", macs=1.0, inputs={"numbers": "numbers"})
CASCADE = Cascade(
    name="sums-cascade",
    version=1,
    inputs=(TensorSpec(name="numbers", datatype="FP32", shape=(-1, CLASSES)),),
    classes=tuple(map(str, range(CLASSES))),
    members=(SPEC,),
    stages=(("sums",),),
    policies={"full": Policy(kind="full", num_stages=1)},
    default_policy="full",
)
ROWS = np.arange(2 * CLASSES, dtype=np.float32).reshape(2, CLASSES)
OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1))
Answer = Callable[[schema.ModelInferRequest, grpc.ServicerContext], Any]


@dataclass
class Answering:
    """A running server and the calls that reached it."""

    server: grpc.Server
    port: int = 0
    calls: list[schema.ModelInferRequest] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.server.stop(0).wait()


def doubled(request: schema.ModelInferRequest, context: grpc.ServicerContext | None = None) -> Any:
    """The truth: the input times two."""
    response = schema.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
    response.outputs.add(name="logits", datatype="FP32", shape=request.inputs[0].shape)
    numbers = np.frombuffer(request.raw_input_contents[0], np.float32)
    response.raw_output_contents.append((2 * numbers).tobytes())
    return response


@contextmanager
def answering(
    answer: Answer = doubled,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
    registers: bool = False,
) -> Iterator[Answering]:
    """`answer` gives a message or what stands for one in bytes. It may register shared memory."""
    server = grpc.server(ThreadPoolExecutor(8), options=OPTIONS)
    running = Answering(server)

    def infer(request: schema.ModelInferRequest, context: grpc.ServicerContext) -> bytes:
        running.calls.append(request)
        found = answer(request, context)
        return found if isinstance(found, bytes) else found.SerializeToString()

    methods = {"ModelInfer": grpc.unary_unary_rpc_method_handler(infer, schema.ModelInferRequest.FromString)}
    if registers:
        empty = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
        methods |= {"SystemSharedMemoryRegister": empty, "SystemSharedMemoryUnregister": empty}
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)
    server.add_generic_rpc_handlers((service,))
    place = f"{host}:{port}"
    running.port = (
        server.add_secure_port(place, credentials) if credentials else server.add_insecure_port(place)
    )
    server.start()
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def member_of(*urls: str, call_timeout_s: float = 30.0, **options: Any) -> Iterator[TritonMember]:
    """The member that is asked for the sums."""
    config = TritonConfig(urls=urls, call_timeout_s=call_timeout_s, **options)
    with connect(config) as channel:
        yield TritonMember(SPEC, CASCADE, 32, "FP32", channel, config.call_timeout_s)
