"""HTTP bodies: what parses, to which values, and what is refused."""

import json
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from cascade.cascade_file import TensorSpec
from cascade.errors import FormatError
from serving.errors import InvalidRequest, TooLarge
from serving.http.codec import Encoding, decode, decode_raw, encode
from serving.json_tensors import tensor_from_json
from serving.messages import InferResponse
from tests.serving.intakes import intake, spec


def parse(document: Any, tail: bytes = b"", length: int | None = None) -> Any:
    """For a model that takes what the document names, as far as a model could."""
    head = document if isinstance(document, bytes) else json.dumps(document).encode()
    body = memoryview(head + tail)
    length = len(head) if tail and length is None else length
    return decode("m", "", body, length, intake(*taken(document), max_request_rows=2**31))


def taken(document: Any) -> list[TensorSpec]:
    try:
        entries = {entry["name"]: entry for entry in document["inputs"]}.values()
        specs = [spec(e["name"], e["datatype"], *[-1] * len(e["shape"])) for e in entries]
    except (KeyError, TypeError, FormatError):
        specs = []
    return specs or [spec("x", "UINT8", -1)]


def tensor(**changes: Any) -> dict[str, Any]:
    entry = {"name": "x", "datatype": "UINT8", "shape": [2, 2], "data": [1, 2, 3, 4]} | changes
    return {key: value for key, value in entry.items() if value is not None}


def test_json_data_may_be_flat_or_nested() -> None:
    for data in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
        request, encoding = parse({"id": "7", "inputs": [tensor(data=data)]})
        assert request.inputs["x"].tolist() == [[1, 2], [3, 4]]
        assert request.inputs["x"].dtype == np.uint8
        assert (request.id, encoding.is_binary("label")) == ("7", False)


def test_binary_tensors_are_views_on_the_body() -> None:
    entry = tensor(data=None, parameters={"binary_data_size": 4})
    request, _ = parse({"inputs": [entry]}, b"\x01\x02\x03\xff")
    assert request.inputs["x"].tolist() == [[1, 2], [3, 255]]
    assert not request.inputs["x"].flags.owndata


def test_tritonclient_bodies_parse() -> None:
    numbers = triton.InferInput("n", [1, 3], "FP32").set_data_from_numpy(np.array([[1, 2, 3]], np.float32))
    words = triton.InferInput("w", [2], "BYTES").set_data_from_numpy(np.array([b"ab", b""], np.object_))
    plain = triton.InferInput("p", [2], "INT32").set_data_from_numpy(
        np.array([-1, 5], np.int32), binary_data=False
    )
    outputs = [triton.InferRequestedOutput("label", binary_data=False)]
    body, length = triton.InferenceServerClient.generate_request_body(
        [numbers, words, plain], outputs=outputs, parameters={"policy": "first", "max_stages": 2}
    )
    takes = intake(spec("n", "FP32", -1, 3), spec("w", "BYTES", -1), spec("p", "INT32", -1))
    request, encoding = decode("m", "", memoryview(body), length, takes)
    assert request.inputs["n"].tolist() == [[1.0, 2.0, 3.0]]
    assert request.inputs["w"].tolist() == ["ab", ""]
    assert request.inputs["p"].tolist() == [-1, 5]
    assert request.parameters == {"policy": "first", "max_stages": 2}
    assert (request.outputs, encoding.is_binary("label")) == (("label",), False)


def test_responses_parse_with_tritonclient() -> None:
    response = InferResponse(
        model="m",
        version="3",
        id="id",
        parameters={"degraded": False},
        outputs={"label": np.array([4, 2]), "exit_reason": [b"last", b"window"]},
        datatypes={"label": "INT64", "exit_reason": "BYTES"},
    )
    for binary in (True, False):
        body, length = encode(response, Encoding(binary, {}))
        result = triton.InferResult.from_response_body(body, header_length=length)
        assert result.as_numpy("label").tolist() == [4, 2]
        words = result.as_numpy("exit_reason").tolist()
        assert words == ([b"last", b"window"] if binary else ["last", "window"])
        assert result.get_response()["id"] == "id"


BIG = 2**63
MALFORMED = [
    (b"", "not JSON"),
    (b"[]", "the request must be a JSON object"),
    (b"\xff\xfe", "not JSON"),
    (b'{"inputs": [' + b"[" * 200_000, "not JSON"),
    ({}, "inputs must be a list"),
    ({"inputs": []}, "inputs must be a list"),
    ({"inputs": [3]}, "an input must be a JSON object"),
    ({"inputs": [tensor()], "id": 3}, "id must be a string"),
    ({"inputs": [tensor()], "parameters": {"policy": [1]}}, "must be a string, a number or a boolean"),
    ({"inputs": [tensor()], "parameters": 3}, "parameters must be a JSON object"),
    ({"inputs": [tensor()], "outputs": {}}, "outputs must be a list"),
    ({"inputs": [tensor()], "outputs": [{}]}, "an output needs a name"),
    ({"inputs": [tensor(), tensor()]}, "stands twice"),
    ({"inputs": [tensor(name=None)]}, "needs a name"),
    ({"inputs": [tensor(name="x" * 1000)]}, "needs a name of 1 to 256"),
    ({"inputs": [tensor(datatype="UINT9")]}, "datatype 'UINT9' is unknown"),
    ({"inputs": [tensor(shape=None)]}, "shape must be a list"),
    ({"inputs": [tensor(shape=[2, -2])]}, "shape holds -2"),
    ({"inputs": [tensor(shape=[2, 2.0])]}, "shape holds 2.0"),
    ({"inputs": [tensor(shape=[True, 4])]}, "shape holds True"),
    ({"inputs": [tensor(shape=[BIG, BIG])]}, "shape holds 9223372036854775808"),
    ({"inputs": [tensor(shape=[2**31 - 1] * 4)]}, "4 elements of data"),
    ({"inputs": [tensor(shape=[1] * 17)]}, "1 to 16 numbers"),
    ({"inputs": [tensor(data=[1, 2, 3])]}, "3 elements of data, 4 expected"),
    ({"inputs": [tensor(data=[[1, 2, 3, 4]])]}, r"ragged or not of shape \[2, 2\]"),
    ({"inputs": [tensor(data=[[1, 2], [3]])]}, "ragged"),
    ({"inputs": [tensor(data=[1, 2, 3, 256])]}, "does not hold values of UINT8"),
    ({"inputs": [tensor(data=[1, 2, 3, -1])]}, "does not hold values of UINT8"),
    ({"inputs": [tensor(data=[1, 2, 3, 4.5])]}, "does not hold values of UINT8"),
    ({"inputs": [tensor(data=["1", "2", "3", "4"])]}, "does not hold values of UINT8"),
    ({"inputs": [tensor(shape=[0, 2**31 - 1, 2**31 - 1], data=[])]}, "shape holds 0"),
    ({"inputs": [tensor(data=[True, 2, 3, 4])]}, "does not hold values of UINT8"),
    ({"inputs": [tensor(datatype="FP32", data=[True, 2.5, 3, 4])]}, "does not hold values of FP32"),
    ({"inputs": [tensor(datatype="FP32", data=["x" * 10_000, 1, 2, 3])]}, "does not hold values of FP32"),
    ({"inputs": [tensor(datatype="BOOL", data=[1, 0, 1, 0])]}, "does not hold values of BOOL"),
    ({"inputs": [tensor(datatype="BYTES", data=[[[[["a"]]]]])]}, "ragged or not of shape"),
    ({"inputs": [tensor(data=[1, None, 3, 4])]}, "does not hold values of UINT8"),
    ({"inputs": [tensor(data="1234")]}, "data must be a list"),
    ({"inputs": [tensor(data=None)]}, "data must be a list"),
    ({"inputs": [tensor(datatype="FP32", data=[1, 2, 3, 1e39])]}, "does not hold values of FP32"),
    (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}', "not JSON"),
    (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1e400]}]}', "not JSON|values of FP32"),
    ({"inputs": [tensor(datatype="BYTES", data=["a", 1, "b", "c"])]}, "does not hold values of BYTES"),
    ({"inputs": [tensor(datatype="BYTES", data=[["a", "b"], ["c"]])]}, "ragged"),
    ({"inputs": [tensor(parameters={"binary_data_size": 4})]}, "both data and binary_data_size"),
    ({"inputs": [tensor(data=None, parameters={"binary_data_size": 4})]}, "past the end of the body"),
    ({"inputs": [tensor(data=None, parameters={"binary_data_size": -4})]}, "binary_data_size -4 is no size"),
    ({"inputs": [tensor(data=None, parameters={"binary_data_size": "4"})]}, "is no size"),
    ({"inputs": [tensor()], "parameters": {"binary_data_output": 1}}, "must be true or false"),
]


@pytest.mark.parametrize(("document", "message"), MALFORMED)
def test_malformed_requests_are_refused_by_name(document: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse(document)


@pytest.mark.parametrize(
    ("tail", "size", "length", "message"),
    [
        (b"\x01" * 3, 4, None, "past the end of the body"),
        (b"\x01" * 5, 4, None, "5 bytes of binary data, of which the inputs name 4"),
        (b"\x01" * 3, 3, None, r"3 bytes of data, 4 expected for UINT8 \[2, 2\]"),
        (b"\x01" * 4, 4, 10_000, "does not fit a body"),
        (b"\x01" * 4, 4, 0, "does not fit a body"),
        (b"\x01" * 4, 4, 20, "not JSON"),
    ],
)
def test_malformed_binary_is_refused(tail: bytes, size: int, length: int | None, message: str) -> None:
    document = {"inputs": [tensor(data=None, parameters={"binary_data_size": size})]}
    with pytest.raises(InvalidRequest, match=message):
        parse(document, tail, length)


@pytest.mark.parametrize(
    "data", [b"\x02\x00\x00\x00a", b"\xff\xff\xff\xffa", b"\x01\x00\x00\x00ab", b"\x01\x00"]
)
def test_lying_lengths_of_strings_are_refused(data: bytes) -> None:
    entry = tensor(datatype="BYTES", shape=[1], data=None, parameters={"binary_data_size": len(data)})
    with pytest.raises(InvalidRequest, match="length-prefixed strings"):
        parse({"inputs": [entry]}, data)


def test_a_bool_is_a_byte_of_0_or_1() -> None:
    entry = tensor(datatype="BOOL", shape=[2], data=None, parameters={"binary_data_size": 2})
    assert parse({"inputs": [entry]}, b"\x01\x00")[0].inputs["x"].tolist() == [True, False]
    with pytest.raises(InvalidRequest, match="a byte of 0 or 1"):
        parse({"inputs": [entry]}, b"\x01\x02")


def test_strings_are_utf_8() -> None:
    entry = tensor(datatype="BYTES", shape=[1], data=None, parameters={"binary_data_size": 6})
    assert parse({"inputs": [entry]}, b"\x02\x00\x00\x00\xc3\xa9")[0].inputs["x"].tolist() == ["é"]
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        parse({"inputs": [entry]}, b"\x02\x00\x00\x00\xff\xfe")


def test_json_numbers_keep_their_values() -> None:
    assert tensor_from_json("x", "INT64", (1,), [-(2**63)]).tolist() == [-(2**63)]
    assert tensor_from_json("x", "UINT64", (1,), [2**64 - 1]).tolist() == [2**64 - 1]
    assert tensor_from_json("x", "FP16", (2,), [1, 0.5]).tolist() == [1.0, 0.5]
    assert tensor_from_json("x", "BOOL", (2,), [True, False]).tolist() == [True, False]


UNDECODABLE = memoryview(b"\xff" * 4 * 4096)
"""Every string's length is a lie, as decoding would find out."""


def announced(name: str, datatype: str, *shape: int) -> bytes:
    size = {"binary_data_size": len(UNDECODABLE)}
    entry = {"name": name, "datatype": datatype, "shape": shape, "parameters": size}
    return json.dumps({"inputs": [entry]}).encode()


@pytest.mark.parametrize(
    ("head", "error", "message"),
    [
        (announced("x", "BYTES", 4096), InvalidRequest, "input 'x' is UINT8; got BYTES"),
        (announced("x", "UINT8", 4097), TooLarge, "4097 rows; a request may have at most 4096"),
        (announced("y", "BYTES", 4096), InvalidRequest, "model 'm' takes inputs w, x; got y"),
        (announced("w", "BYTES", 4097, 1), TooLarge, "4097 rows; a request may have at most 4096"),
        (announced("w", "BYTES", 2, 2048), InvalidRequest, r"'w' has shape \[-1, 1\]; got \[2, 2048\]"),
    ],
)
def test_what_an_input_says_of_itself_is_checked_before_its_data(
    head: bytes, error: type[Exception], message: str
) -> None:
    takes = intake(spec("x", "UINT8", -1, 4), spec("w", "BYTES", -1, 1))
    with pytest.raises(error, match=message):
        decode("m", "", memoryview(head + UNDECODABLE), len(head), takes)


def test_inputs_that_a_model_does_not_take_are_all_named() -> None:
    document = {"inputs": [tensor(shape=[4]), tensor(name="z"), tensor(name="y"), 3, {"name": 3}]}
    with pytest.raises(InvalidRequest, match="model 'm' takes inputs x; got x, y, z"):
        decode("m", "", memoryview(json.dumps(document).encode()), None, intake(spec("x", "UINT8", -1)))


def test_strings_count_as_json_does() -> None:
    """Numbers do not."""
    texts = b"\x01\0\0\0a" * 20
    words = tensor(name="w", datatype="BYTES", shape=[20], data=None, parameters={"binary_data_size": 100})
    numbers = tensor(shape=[4000], data=None, parameters={"binary_data_size": 4000})
    head = json.dumps({"inputs": [words, numbers]}).encode()
    body = memoryview(head + texts + bytes(4000))
    specs, slow = (spec("w", "BYTES", -1), spec("x", "UINT8", -1)), len(head) + len(texts)
    request, _ = decode("m", "", body, len(head), intake(*specs, num_slow=len(head), max_json_bytes=slow))
    assert request.inputs["w"].tolist() == ["a"] * 20
    with pytest.raises(TooLarge, match=f"more than {slow - 1} bytes of strings and what else is not raw"):
        decode("m", "", body, len(head), intake(*specs, num_slow=len(head), max_json_bytes=slow - 1))


def test_a_raw_string_counts_too() -> None:
    def decoded(num_bytes: int) -> list[Any]:
        takes = intake(spec("w", "BYTES", -1, 1), max_json_bytes=9)
        return decode_raw("m", "", memoryview(b"x" * num_bytes), takes)[0].inputs["w"].tolist()

    assert decoded(9) == [["x" * 9]]
    with pytest.raises(TooLarge, match="more than 9 bytes of strings"):
        decoded(10)
