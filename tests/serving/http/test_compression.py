"""Compressed bodies both ways, by tritonclient and by hand."""

import gzip
import http.client
import json
import re
import zlib

import numpy as np
import pytest
import tritonclient.http as triton

from tests.repositories import Repository
from tests.servers import Server

IMAGE = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
REQUEST = json.dumps(
    {
        "inputs": [
            {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1], "data": IMAGE.ravel().tolist()}
        ]
    }
).encode()
PACKED = {"gzip": gzip.compress(REQUEST), "deflate": zlib.compress(REQUEST)}
BOTH = pytest.mark.parametrize("coding", ["gzip", "deflate"])


def post(server: Server, body: bytes, **headers: str) -> tuple[int, bytes, str | None]:
    host, port = server.http.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/v2/models/digits/infer", body, named)
        response = connection.getresponse()
        return response.status, response.read(), response.getheader("Content-Encoding")
    finally:
        connection.close()


@BOTH
@pytest.mark.parametrize("is_binary", [False, True])
@pytest.mark.parametrize("rows", [1, 200, 2000])
def test_tritonclient_compresses_both_ways(
    coding: str, is_binary: bool, rows: int, server: Server, repository: Repository
) -> None:
    images = np.random.default_rng(rows).integers(0, 17, (rows, 8, 8, 1), np.uint8)
    tensor = triton.InferInput("image", [rows, 8, 8, 1], "UINT8")
    tensor.set_data_from_numpy(images, binary_data=is_binary)
    outputs = [triton.InferRequestedOutput("probabilities", binary_data=is_binary)]
    with triton.InferenceServerClient(server.http) as client:
        plain = client.infer("digits", [tensor], outputs=outputs)
        packed = client.infer(
            "digits",
            [tensor],
            outputs=outputs,
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )
    np.testing.assert_array_equal(packed.as_numpy("probabilities"), plain.as_numpy("probabilities"))


@BOTH
def test_an_answer_is_compressed_for_those_who_take_it(coding: str, server: Server) -> None:
    document = json.loads(REQUEST)
    document["inputs"][0] |= {"shape": [50, 8, 8, 1], "data": IMAGE.ravel().tolist() * 50}
    body = json.dumps(document).encode()
    _, plain, none = post(server, body)
    status, packed, found = post(server, body, Accept_Encoding=f"br, {coding};q=0.5")
    assert (status, none, found) == (200, None, coding)
    assert len(packed) < len(plain) / 2
    unpacked = zlib.decompress(packed, 31 if coding == "gzip" else 15)
    assert json.loads(unpacked)["outputs"] == json.loads(plain)["outputs"]


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0, deflate;q=0.000"])
def test_others_get_it_as_it_is(accepted: str, server: Server) -> None:
    document = json.loads(REQUEST)
    document["inputs"][0] |= {"shape": [50, 8, 8, 1], "data": IMAGE.ravel().tolist() * 50}
    status, _, found = post(server, json.dumps(document).encode(), Accept_Encoding=accepted)
    assert (status, found) == (200, None)


@BOTH
def test_a_short_answer_is_not_worth_it(coding: str, server: Server) -> None:
    status, body, found = post(server, REQUEST, Accept_Encoding=coding)
    assert (status, found) == (200, None) and json.loads(body)["outputs"]


def bomb(coding: str) -> bytes:
    """64 KB that unpack to 65 MB, above the server's limit."""
    zeros = bytes(65 * 2**20)
    return gzip.compress(zeros) if coding == "gzip" else zlib.compress(zeros)


@BOTH
def test_a_bomb_is_refused_at_the_limit(coding: str, server: Server) -> None:
    status, body, _ = post(server, bomb(coding), Content_Encoding=coding)
    assert status == 413
    assert json.loads(body) == {"error": "a body of more than 67108864 bytes once it is unpacked"}


@BOTH
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda body: body[:-6], "is cut off"),
        (lambda body: body[: len(body) // 2], "is cut off"),
        (lambda body: b"", "is cut off"),
        (lambda body: REQUEST, "the body is not "),
        (lambda body: body[:20] + bytes(10) + body[30:], "the body is not |is cut off"),
        (lambda body: body + b"more", "the body goes on after its "),
    ],
    ids=["without its end", "half", "empty", "plain", "corrupt", "longer"],
)
def test_what_is_not_as_it_says_is_refused(
    coding: str, spoil: "object", message: str, server: Server
) -> None:
    status, body, _ = post(server, spoil(PACKED[coding]), Content_Encoding=coding)  # type: ignore[operator]
    assert status == 400
    assert re.search(message, json.loads(body)["error"])


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "x" * 100])
def test_other_codings_are_not_supported(coding: str, server: Server) -> None:
    status, body, _ = post(server, REQUEST, Content_Encoding=coding)
    assert status == 501
    assert "is not supported; there are: gzip, deflate" in json.loads(body)["error"]
