"""Requests that no client should send: what is wrong with each, and what the answer must say of it."""

import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

BINARY = "Inference_Header_Content_Length"
IMAGE = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1]}
GOOD = json.dumps({"inputs": [IMAGE | {"data": [0] * 64}]}).encode()
ZEROS = bytes(65 * 2**20)
PATHS = ("/work", "/tmp", "/home", "/onnxruntime_src/", "/site-packages/")
"""What of the server's files, or of those that its libraries were made from, may stand in no answer."""


@dataclass(frozen=True)
class Bad:
    """A body with headers of its own. `status` is 400 where nothing else is said."""

    name: str
    body: bytes
    message: str
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)


def document(**changes: Any) -> bytes:
    """The good request with its only input changed; None leaves a field out."""
    entry = IMAGE | {"data": [0] * 64} | changes
    return json.dumps({"inputs": [{k: v for k, v in entry.items() if v is not None}]}).encode()


def request(**fields: Any) -> bytes:
    return json.dumps({"inputs": [IMAGE | {"data": [0] * 64}], **fields}).encode()


def with_data(text: str) -> bytes:
    """Raw text in place of the data, for what `json.dumps` would not write."""
    return document(data="@").replace(b'"@"', text.encode())


def nested(depth: int) -> bytes:
    return with_data("[" * depth + "0" + "]" * depth)


def binary(name: str, message: str, size: Any, tail: bytes, **more: Any) -> Bad:
    head = document(**{"data": None, "parameters": {"binary_data_size": size}} | more)
    return Bad(name, head + tail, message, headers={BINARY: str(len(head))})


def two_inputs(first: int, second: int, tail: bytes) -> Bad:
    entries = [
        IMAGE | {"name": name, "parameters": {"binary_data_size": size}}
        for name, size in (("image", first), ("more", second))
    ]
    head = json.dumps({"inputs": entries}).encode()
    return Bad(
        "binary tensors that overlap", head + tail, "got image, more", headers={BINARY: str(len(head))}
    )


SHAPES = [
    Bad("shape: negative", document(shape=[-1, 8, 8, 1]), "shape holds -1"),
    Bad("shape: float", document(shape=[1.0, 8, 8, 1]), "shape holds 1.0"),
    Bad("shape: over int64", document(shape=[2**63, 8, 8, 1]), "shape holds 9223372036854775808"),
    Bad(
        "shape: far over int64",
        with_data("[0]").replace(b"[1, 8", b"[1" + b"0" * 400 + b", 8"),
        "not JSON|shape holds 1",
    ),
    Bad("shape: product overflow", document(shape=[1] + [2**31 - 1] * 3), "64 elements of data"),
    Bad("shape: too many rows", document(shape=[2**31 - 1] * 4), "2147483647 rows; a request may", 413),
    Bad("shape: zero rows", document(shape=[0, 8, 8, 1], data=[]), "shape holds 0"),
    Bad("shape: wrong rank", document(shape=[1, 64]), "has shape [-1, 8, 8, 1]; got [1, 64]"),
    Bad("shape: empty", document(shape=[]), "shape must be a list of 1 to 16"),
    Bad("shape: none", document(shape=None), "shape must be a list"),
    Bad("shape: not the data's", document(shape=[2, 8, 8, 1]), "64 elements of data, 128 expected"),
    Bad("shape: ragged", document(shape=[2, 8, 8, 1], data=[[0] * 64, [0] * 63]), "ragged"),
]
DATA = [
    Bad("datatype: unknown", document(datatype="UINT9"), "datatype 'UINT9' is unknown"),
    Bad("datatype: none", document(datatype=None), "datatype 'None' is unknown"),
    Bad("datatype: mismatched", document(datatype="FP32"), "'image' is UINT8; got FP32"),
    Bad("data: NaN", with_data("[NaN]"), "not JSON"),
    Bad("data: Infinity", with_data("[Infinity]"), "not JSON"),
    Bad("data: 1e400", with_data("[1e400]"), "not JSON"),
    Bad("data: 256", document(data=[256] * 64), "does not hold values of UINT8"),
    Bad("data: objects", document(data=[{}] * 64), "does not hold values of UINT8"),
    Bad("data: none", document(data=None), "data must be a list"),
]
TENSORS = [
    Bad("inputs: twice", request(inputs=[IMAGE | {"data": [0] * 64}] * 2), "'image' stands twice"),
    Bad("inputs: none", request(inputs=[]), "inputs must be a list of at least one"),
    Bad("inputs: another", document(name="picture"), "takes inputs image; got picture"),
    Bad(
        "inputs: one more",
        request(inputs=[IMAGE | {"data": [0] * 64}, IMAGE | {"name": "more", "data": [0] * 64}]),
        "got image, more",
    ),
    Bad("outputs: unknown", request(outputs=[{"name": "luck"}]), "unknown output 'luck'"),
    Bad("outputs: twice", request(outputs=[{"name": "label"}] * 2), "requested twice"),
]
JSON = [
    Bad("JSON: a key twice", GOOD[:-1] + b', "id": "a", "id": "b"}', "has the key 'id' twice"),
    Bad("JSON: a key twice, spaced", GOOD[:-1] + b', "id" :"a", "id": "b"}', "has the key 'id' twice"),
    Bad("JSON: a key twice, escaped", GOOD[:-1] + b', "id": "a", "\\u0069d": "b"}', "has the key 'id' twice"),
    Bad("JSON: a key twice, deep", GOOD.replace(b'"data"', b'"shape": [1], "data"'), "the key 'shape' twice"),
    Bad(
        "JSON: a key twice in an unknown place",
        GOOD[:-1] + b', "x": [[{"a": 1, "a": 2}]]}',
        "has the key 'a' twice",
    ),
    Bad("JSON: nested 10^3", nested(10**3), "ragged"),
    Bad("JSON: nested 10^4", nested(10**4), "not JSON"),
    Bad("JSON: nested 10^5", nested(10**5), "not JSON"),
    Bad("JSON: nested 10^6", nested(10**6), "not JSON"),
    Bad("JSON: nested, and colons", b'{"a:":' * 900 + b"1" + b"}" * 900, "inputs must|nested too deeply"),
    Bad("JSON: empty", b"", "not JSON"),
    Bad("JSON: an array", b"[]", "must be a JSON object"),
    Bad("JSON: a number", b"7", "must be a JSON object"),
    Bad("JSON: none", b"inputs=1", "not JSON"),
    Bad("JSON: cut off", GOOD[:-1], "not JSON"),
    Bad("JSON: two", GOOD + GOOD, "not JSON"),
    Bad("JSON: invalid UTF-8", GOOD.replace(b"image", b"im\xff\xfege"), "not JSON"),
    Bad("JSON: NUL", GOOD.replace(b"image", b"im\0ge"), "not JSON"),
    Bad("JSON: an escaped NUL", GOOD.replace(b"image", b"im\\u0000ge"), "takes inputs image"),
    Bad("JSON: a lone surrogate", GOOD.replace(b"image", b"im\\ud800ge"), "not JSON"),
    Bad("JSON: a name of 1 MB", document(name="x" * 10**6), "a name of 1 to 256 characters"),
    Bad("JSON: an id of 1 MB", request(id="x" * 10**6), "an id of 1000000 characters; at most 1024"),
    Bad("JSON: a number for an id", request(id=7), "id must be a string"),
    Bad("JSON: a digit 10^5 times", with_data("[" + "1" * 10**5 + "]"), "not JSON|no number|expected"),
    Bad("JSON: over its limit", b'{"a": [' + b"0," * 4_200_000 + b"0]}", "bytes of JSON", 413),
]
LENGTHS = [
    Bad("header length: negative", GOOD, "is no length", headers={BINARY: "-1"}),
    Bad("header length: too large", GOOD, "does not fit", headers={BINARY: str(len(GOOD) + 1)}),
    Bad("header length: huge", GOOD, "is no length", headers={BINARY: "9" * 400}),
    Bad("header length: no number", GOOD, "is no length", headers={BINARY: "many"}),
    Bad("header length: a float", GOOD, "is no length", headers={BINARY: "7.5"}),
    Bad("header length: cuts a token", GOOD, "not JSON", headers={BINARY: str(len(GOOD) - 5)}),
    Bad("header length: 0, and no row", b"abc", "a raw body of 3 bytes is no row", headers={BINARY: "0"}),
    Bad("header length: 0, and nothing", b"", "a raw body of 0 bytes is no row", headers={BINARY: "0"}),
    Bad("header length: 0, two rows", bytes(128), "a raw body of 128 bytes", headers={BINARY: "0"}),
    binary("binary: negative", "binary_data_size -64 is no size", -64, bytes(64)),
    binary("binary: no number", "is no size", "64", bytes(64)),
    binary("binary: too short", "32 bytes of data, 64 expected", 32, bytes(32)),
    binary("binary: too long", "65 bytes of data, 64 expected", 65, bytes(65)),
    binary("binary: past the end", "past the end of the body", 65, bytes(64)),
    binary("binary: bytes left over", "of which the inputs name 64", 64, bytes(70)),
    binary("binary: huge", "past the end of the body", 2**62, bytes(64)),
    binary("binary: and data", "both data and binary_data_size", 64, bytes(64), data=[0] * 64),
    two_inputs(64, 64, bytes(64)),
]
MANY_TEXTS = 4 * 2**20
OTHERS = [
    binary(
        "BYTES: for numbers, and 4 million",
        "'image' is UINT8; got BYTES",
        4 * MANY_TEXTS,
        bytes(4 * MANY_TEXTS),
        datatype="BYTES",
        shape=[MANY_TEXTS],
    )
]
PACKED = [
    Bad(
        "gzip: corrupt",
        gzip.compress(GOOD)[:20] + bytes(20),
        "not gzip|cut off",
        headers={"Content_Encoding": "gzip"},
    ),
    Bad("gzip: truncated", gzip.compress(GOOD)[:-9], "cut off", headers={"Content_Encoding": "gzip"}),
    Bad("gzip: a bomb", gzip.compress(ZEROS, 1), "once it is unpacked", 413, {"Content_Encoding": "gzip"}),
    Bad("gzip: nested", gzip.compress(gzip.compress(GOOD)), "not JSON", headers={"Content_Encoding": "gzip"}),
    Bad("gzip: twice", gzip.compress(GOOD) * 2, "goes on after", headers={"Content_Encoding": "gzip"}),
    Bad(
        "deflate: a bomb",
        zlib.compress(ZEROS, 1),
        "once it is unpacked",
        413,
        {"Content_Encoding": "deflate"},
    ),
    Bad("gzip: not said", gzip.compress(GOOD), "not JSON"),
    Bad("encoding: unknown", GOOD, "'br' is not supported", 501, {"Content_Encoding": "br"}),
]
OVER_HTTP = [*SHAPES, *DATA, *TENSORS, *JSON, *LENGTHS, *OTHERS, *PACKED]
