import json
from dataclasses import replace

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult

from loadtest.errors import WireError
from loadtest.wire.client import Ask
from loadtest.wire.http_codec import decode_infer, encode_binary, encode_json, http_message
from loadtest.wire.served import ALL_OUTPUTS
from loadtest.wire.tensors import NamedTensor

TENSORS = (
    NamedTensor("image", "UINT8", np.arange(24, dtype=np.uint8).reshape(2, 3, 4)),
    NamedTensor("x", "FP16", np.array([[0.5], [-2.0]], np.float16)),
    NamedTensor("text", "BYTES", np.array([["é", ""], ["longer", "z"]])),
    NamedTensor("flag", "BOOL", np.array([True, False])),
)


ASK = Ask(inputs=TENSORS, outputs=ALL_OUTPUTS, policy="window", max_stages=2, timeout_us=1500)


def triton_body(*, is_binary: bool) -> tuple[bytes, int]:
    """The same request as tritonclient builds it."""
    inputs = []
    for tensor in TENSORS:
        if tensor.datatype == "FP16" and not is_binary:
            continue
        is_text = tensor.datatype == "BYTES"
        array = np.char.encode(tensor.array, "utf-8").astype(np.object_) if is_text else tensor.array
        inputs.append(InferInput(tensor.name, tensor.shape, tensor.datatype))
        inputs[-1].set_data_from_numpy(array, binary_data=is_binary)
    body, split = InferenceServerClient.generate_request_body(
        inputs,
        outputs=[InferRequestedOutput(name, binary_data=is_binary) for name in ALL_OUTPUTS],
        parameters={"policy": "window", "max_stages": 2},
        timeout=1500,
    )
    return body if isinstance(body, bytes) else body.encode(), split


def test_a_request_means_what_tritonclient_s_means() -> None:
    body, split = encode_binary(ASK)
    theirs, their_split = triton_body(is_binary=True)
    assert json.loads(body[:split]) == json.loads(theirs[:their_split])
    assert body[split:] == theirs[their_split:]


def test_so_does_one_in_json() -> None:
    """But for half floats, which tritonclient can't put into JSON."""
    ours = json.loads(encode_json(replace(ASK, inputs=TENSORS[:1] + TENSORS[2:])))
    theirs = json.loads(triton_body(is_binary=False)[0])
    assert ours["parameters"] == theirs["parameters"]
    assert ours["inputs"] == theirs["inputs"]
    # Outputs are JSON unless a client asks otherwise.
    assert ours["outputs"] == [{"name": name, "parameters": {"binary_data": False}} for name in ALL_OUTPUTS]


def test_numbers_in_json_are_as_short_as_their_type_is() -> None:
    x = NamedTensor("x", "FP32", np.array([[0.1, -2.5e-7]], np.float32))
    body = encode_json(Ask(inputs=[x], outputs=["label"]))
    assert b'"data":[0.1,-2.5e-7]' in body
    assert np.array_equal(np.float32(json.loads(body)["inputs"][0]["data"]), x.array[0])


def test_nothing_is_said_of_what_is_left_to_the_server() -> None:
    ask = Ask(inputs=TENSORS, outputs=["label"])
    for document in (encode_json(ask), encode_binary(ask)[0][: encode_binary(ask)[1]]):
        assert sorted(json.loads(document)) == ["inputs", "outputs"]


def test_a_message_is_a_head_and_a_body() -> None:
    message = http_message("POST", "/x", {"Host": "h:1", "A": "b"}, b"body")
    assert message == b"POST /x HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Length: 4\r\n\r\nbody"


def response(*outputs: tuple[str, str, list[int], bytes]) -> tuple[bytes, int]:
    described = [
        {"name": n, "datatype": d, "shape": s, "parameters": {"binary_data_size": len(raw)}}
        for n, d, s, raw in outputs
    ]
    head = {"model_name": "m", "parameters": {"degraded": True}, "outputs": described}
    text = json.dumps(head).encode()
    return text + b"".join(raw for *_, raw in outputs), len(text)


def test_an_answer_is_read_as_tritonclient_reads_it() -> None:
    reason = b"\x06\0\0\0window\x04\0\0\0last"
    body, split = response(
        ("label", "INT64", [2], np.array([3, -1], "<i8").tobytes()),
        ("accepted", "BOOL", [2], b"\x01\x00"),
        ("probabilities", "FP32", [2, 2], np.array([[0.25, 0.75], [1, 0]], "<f4").tobytes()),
        ("exit_reason", "BYTES", [2], reason),
    )
    answer, theirs = decode_infer(body, split), InferResult.from_response_body(body, header_length=split)
    for name in ("label", "accepted", "probabilities"):
        assert np.array_equal(answer.outputs[name], theirs.as_numpy(name)), name
        assert answer.outputs[name].dtype == theirs.as_numpy(name).dtype
    assert answer.outputs["exit_reason"].tolist() == ["window", "last"]
    assert [text.decode() for text in theirs.as_numpy("exit_reason")] == ["window", "last"]
    assert answer.is_degraded


def test_an_answer_may_be_plain_json() -> None:
    output = {"name": "label", "datatype": "INT64", "shape": [2, 1], "data": [4, 5]}
    score = {"name": "score", "datatype": "FP32", "shape": [2], "data": [0.1, 1]}
    reason = {"name": "reason", "datatype": "BYTES", "shape": [2], "data": ["é", "last"]}
    answer = decode_infer(json.dumps({"outputs": [output, score, reason]}).encode(), None)
    assert answer.outputs["label"].tolist() == [[4], [5]]
    assert answer.outputs["label"].dtype == np.int64
    assert np.array_equal(answer.outputs["score"], np.array([0.1, 1], np.float32))
    assert answer.outputs["score"].dtype == np.float32
    assert answer.outputs["reason"].tolist() == ["é", "last"]
    assert not answer.is_degraded


@pytest.mark.parametrize(
    ("body", "split", "message"),
    [
        (b"", None, "not what the protocol says"),
        (b"[]", None, "not what the protocol says"),
        (b'{"outputs": [{"name": "a"}]}', None, "not what the protocol says"),
        (b'{"outputs": []}left over', 15, "24 bytes where its JSON accounts for 15"),
        (*response(("label", "INT64", [2], b"short")), r"'label': 5 bytes for INT64 \[2\]"),
        (*response(("label", "WHAT", [1], b"x")), "unknown datatype 'WHAT'"),
        (*response(("r", "BYTES", [1], b"\x09\0\0\0abc")), "7 bytes are not 1 strings"),
        (*response(("r", "BYTES", [2], b"\x01\0\0\0a")), "5 bytes are not 2 strings"),
    ],
)
def test_a_broken_answer_is_a_wire_error(body: bytes, split: int | None, message: str) -> None:
    with pytest.raises(WireError, match=message):
        decode_infer(body, split)
