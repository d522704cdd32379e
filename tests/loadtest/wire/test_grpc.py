import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferInput, InferResult, service_pb2, service_pb2_grpc

from loadtest.errors import WireError
from loadtest.wire.client import Ask, Reply, Status
from loadtest.wire.clients import open_clients
from loadtest.wire.grpc import decode_infer, encode_infer
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor

IMAGE = NamedTensor("image", "UINT8", np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
X = NamedTensor("x", "FP32", np.array([[0.5], [-2.0]], np.float32))


def test_a_request_means_what_tritonclient_s_means() -> None:
    ask = Ask(inputs=(IMAGE, X), outputs=("label", "score"), policy="window", max_stages=2, timeout_us=1500)
    ours = service_pb2.ModelInferRequest.FromString(encode_infer("digits", ask).body)
    assert ours.model_name == "digits"
    assert ours.parameters["policy"].string_param == "window"
    assert ours.parameters["max_stages"].int64_param == 2
    assert ours.parameters["timeout"].int64_param == 1500
    assert [output.name for output in ours.outputs] == ["label", "score"]
    for tensor, described, raw in zip((IMAGE, X), ours.inputs, ours.raw_input_contents, strict=True):
        theirs = InferInput(tensor.name, tensor.shape, tensor.datatype)
        theirs.set_data_from_numpy(tensor.array)
        assert described == theirs._get_tensor()
        assert raw == theirs._get_content()


def test_an_answer_is_read_as_tritonclient_reads_it() -> None:
    message = service_pb2.ModelInferResponse(model_name="digits")
    message.parameters["degraded"].bool_param = True
    for name, datatype, array in (
        ("label", "INT64", np.array([3, -1], "<i8")),
        ("probabilities", "FP32", np.array([[0.25, 0.75], [1, 0]], "<f4")),
    ):
        message.outputs.add(name=name, datatype=datatype, shape=array.shape)
        message.raw_output_contents.append(array.tobytes())
    answer, theirs = decode_infer(message.SerializeToString()), InferResult(message)
    for name in ("label", "probabilities"):
        assert np.array_equal(answer.outputs[name], theirs.as_numpy(name)), name
    assert answer.is_degraded


def test_a_broken_answer_is_a_wire_error() -> None:
    with pytest.raises(WireError, match="not what the protocol says"):
        decode_infer(b"\xff\xff\xff")
    message = service_pb2.ModelInferResponse()
    message.outputs.add(name="label", datatype="INT64", shape=[1])
    with pytest.raises(WireError, match="1 outputs and 0 raw contents"):
        decode_infer(message.SerializeToString())


class Refusing(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code
        self.metadata: dict[str, Any] = {}

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.metadata = dict(context.invocation_metadata())
        await context.abort(self._code, "in the server's own words")


@asynccontextmanager
async def refusing(servicer: Refusing) -> AsyncIterator[str]:
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"grpc://127.0.0.1:{port}"
    await server.stop(None)


async def sent(url: str, options: WireOptions | None = None) -> Reply:
    async with open_clients([parse_target(url)], ["digits"], options or WireOptions()) as clients:
        (client,) = clients.values()
        return await client.send(client.encode(Ask(inputs=[X], outputs=["label"])))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Status.SHED),
        (grpc.StatusCode.UNAVAILABLE, Status.SHED),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Status.REFUSED),
        (grpc.StatusCode.INVALID_ARGUMENT, Status.REFUSED),
    ],
)
def test_a_refusal_is_told_from_being_too_busy(code: grpc.StatusCode, status: Status) -> None:
    async def refused() -> Reply:
        async with refusing(Refusing(code)) as url:
            return await sent(url)

    assert asyncio.run(refused()) == Reply(status, detail=f"{code.name}: in the server's own words")


def test_a_server_that_is_not_there_has_not_shed_anything() -> None:
    reply = asyncio.run(sent("grpc://127.0.0.1:1"))
    assert reply.status is Status.BROKEN
    assert reply.detail.startswith("UNAVAILABLE: ")


def test_a_token_goes_with_every_request() -> None:
    servicer = Refusing(grpc.StatusCode.INTERNAL)

    async def asked() -> None:
        async with refusing(servicer) as url:
            await sent(url, WireOptions(token="secret"))

    asyncio.run(asked())
    assert servicer.metadata["authorization"] == "Bearer secret"
