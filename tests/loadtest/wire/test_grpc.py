import numpy as np
import pytest
from tritonclient.grpc import InferInput, InferResult, service_pb2

from loadtest.errors import WireError
from loadtest.wire.grpc import decode_infer, encode_infer
from loadtest.wire.tensors import NamedTensor

IMAGE = NamedTensor("image", "UINT8", np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
X = NamedTensor("x", "FP32", np.array([[0.5], [-2.0]], np.float32))


def test_a_request_means_what_tritonclient_s_means() -> None:
    ours = service_pb2.ModelInferRequest.FromString(
        encode_infer("digits", "window", (IMAGE, X), ("label", "score")).body
    )
    assert ours.model_name == "digits"
    assert ours.parameters["policy"].string_param == "window"
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
