"""What is asked for, and answers that cannot be what was asked for."""

import math
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as schema

from serving.errors import MemberDown, MemberFailed
from serving.triton.failures import Failures
from serving.triton.wire import Wire, encoded
from tests.serving.triton.answering import CASCADE, ROWS, SPEC, answering, doubled, member_of

INPUTS = {"numbers": ROWS}
LIE = "a text of the server with 10.1.2.3:8001 and /srv/models in it"


def test_the_call_names_the_version_and_the_one_output() -> None:
    with answering() as server, member_of(server.address) as member:
        assert member.run(INPUTS).tolist() == (2 * ROWS).tolist()
        (call,) = server.calls
    assert (call.model_name, call.model_version) == ("sums", "7")
    assert [output.name for output in call.outputs] == ["logits"]
    described = [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in call.inputs]
    assert described == [("numbers", "FP32", [2, 3])]
    assert list(call.raw_input_contents) == [ROWS.tobytes()]


def test_a_large_tensor_arrives() -> None:
    numbers = np.arange(2_100_000, dtype=np.float32).reshape(-1, 3)
    with answering() as server, member_of(server.address) as member:
        assert np.array_equal(member.run({"numbers": numbers}), 2 * numbers)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 2**14 - 1, 2**14, 2**21 - 1, 2**21])
def test_tensors_of_any_length(size: int) -> None:
    """As protobuf reads it; the length takes a byte more from 2 to the power of 7, 14 and 21 on."""
    inputs = {"numbers": np.arange(size, dtype=np.uint8)}
    wire = Wire(SPEC, CASCADE, "FP32", Failures("sums", "sums/7"))
    call = schema.ModelInferRequest.FromString(wire.request(inputs, encoded(inputs)))
    assert list(call.raw_input_contents) == [inputs["numbers"].tobytes()]
    assert call.model_name == "sums"


@pytest.mark.parametrize("seconds", [0.001, math.inf])
def test_a_call_whose_time_is_up_is_not_made(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    """Nor does the log hear of it: Triton has done nothing wrong."""
    with answering() as server, member_of(server.address) as member:
        member.run(INPUTS, time.monotonic() + 60)
        with pytest.raises(MemberDown, match=r"^member 'sums' did not answer in time$"):
            member.run(INPUTS, time.monotonic() - seconds)
        assert len(server.calls) == 1
    assert not caplog.records


def lie(change: Callable[[Any], Any]) -> Any:
    """The true answer, changed."""
    request = schema.ModelInferRequest(model_name="sums", model_version="7")
    request.inputs.add(name="numbers", datatype="FP32", shape=ROWS.shape)
    request.raw_input_contents.append(ROWS.tobytes())
    response = doubled(request)
    other = change(response)
    return response if other is None else other


def shape(*extents: int) -> Callable[[Any], None]:
    def change(response: Any) -> None:
        response.outputs[0].shape[:] = extents

    return change


def datatype(name: str) -> Callable[[Any], None]:
    return lambda response: setattr(response.outputs[0], "datatype", name)


def raw(*contents: bytes) -> Callable[[Any], None]:
    def change(response: Any) -> None:
        response.raw_output_contents[:] = contents

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (shape(2, 4), "shape (2, 4) for 2 rows"),
        (shape(3, 3), "shape (3, 3) for 2 rows"),
        (shape(3, 2), "shape (3, 2) for 2 rows"),
        (shape(6), "shape (6,) for 2 rows"),
        (shape(), "shape () for 2 rows"),
        (shape(2, 3, 1), "shape (2, 3, 1) for 2 rows"),
        (shape(-2, -3), "shape (-2, -3) for 2 rows"),
        (shape(2**62, 3), f"shape ({2**62}, 3) for 2 rows"),
        (datatype("FP64"), "another datatype than FP32"),
        (datatype("INT32"), "another datatype than FP32"),
        (datatype(LIE), "another datatype than FP32"),
        (raw(bytes(23)), "23 bytes for shape (2, 3)"),
        (raw(bytes(25)), "25 bytes for shape (2, 3)"),
        (raw(bytes(48)), "48 bytes for shape (2, 3)"),
        (raw(b""), "0 bytes for shape (2, 3)"),
        (raw(), "no output 'logits'"),
        (raw(bytes(24), bytes(24)), "no output 'logits'"),
        (lambda response: setattr(response.outputs[0], "name", LIE), "no output 'logits'"),
        (lambda response: response.ClearField("outputs"), "no output 'logits'"),
        (lambda response: setattr(response, "model_name", LIE), "the answer of another model"),
        (lambda response: setattr(response, "model_version", "8"), "the answer of another model"),
        (lambda response: schema.ModelInferResponse(), "the answer of another model"),
        (lambda response: b"", "the answer of another model"),
        (lambda response: b"\xff" * 40, "an answer that cannot be read"),
        (lambda response: response.SerializeToString()[:-5], "an answer that cannot be read"),
    ],
)
def test_a_lying_answer_is_the_members_failure(change: Callable[[Any], Any], text: str) -> None:
    with answering(lambda request, context: lie(change)) as server, member_of(server.address) as member:
        with pytest.raises(MemberFailed, match=f"^member 'sums' gave {re.escape(text)}$") as caught:
            member.run(INPUTS)
        assert not isinstance(caught.value, MemberDown)
        assert len(server.calls) == 1


def test_the_output_is_found_among_others() -> None:
    def more(response: Any) -> None:
        response.outputs.insert(0, schema.ModelInferResponse.InferOutputTensor(name="more", datatype="BOOL"))
        response.raw_output_contents.insert(0, b"\x01")

    with answering(lambda request, context: lie(more)) as server, member_of(server.address) as member:
        assert member.run(INPUTS).tolist() == (2 * ROWS).tolist()
