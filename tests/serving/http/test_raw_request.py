"""Raw binary requests: a body without JSON."""

import json

import numpy as np
import pytest
import tritonclient.http as triton

from cascade.cascade_file import TensorSpec
from serving.errors import InvalidRequest
from serving.http.raw_request import raw_tensor
from tests.repositories import Repository
from tests.servers import Server
from tests.serving.raw_http import answer, connection, head


def spec(datatype: str, *shape: int) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=shape)


@pytest.mark.parametrize("path", ["/v2/models/digits/infer", "/v2/models/digits/versions/1/infer"])
def test_the_body_is_the_row(path: str, server: Server, repository: Repository) -> None:
    """The answer is binary, and the same as to a request in JSON."""
    image = repository.test.image[3:4]
    with connection(server.http) as client:
        client.sendall(
            head("Content-Length: 64", "Inference-Header-Content-Length: 0", path=path) + image.tobytes()
        )
        status, told, body = answer(client)
    assert status == 200
    length = int(told["inference-header-content-length"])
    assert json.loads(body[:length])["outputs"][1]["parameters"] == {"binary_data_size": 8}
    found = triton.InferResult.from_response_body(body, header_length=length)
    tensor = triton.InferInput("image", [1, 8, 8, 1], "UINT8").set_data_from_numpy(image)
    with triton.InferenceServerClient(server.http) as client:
        expected = client.infer("digits", [tensor])
    for name in ("label", "probabilities", "exit_reason"):
        assert found.as_numpy(name).tolist() == expected.as_numpy(name).tolist()


def test_one_extent_follows_from_the_size() -> None:
    data = np.arange(6, dtype="<i4")
    _, row = raw_tensor([spec("INT32", -1, -1, 2)], memoryview(data.tobytes()))
    assert row.tolist() == [[[0, 1], [2, 3], [4, 5]]]
    _, row = raw_tensor([spec("INT32", -1)], memoryview(data[:1].tobytes()))
    assert row.tolist() == [0]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (-1, -1)])
def test_a_text_is_one_element(shape: tuple[int, ...]) -> None:
    _, row = raw_tensor([spec("BYTES", *shape)], memoryview("né".encode()))
    assert (row.shape, row.ravel().tolist()) == ((1,) * len(shape), ["né"])


@pytest.mark.parametrize(
    ("specs", "body", "message"),
    [
        ([spec("INT32", -1, 2)] * 2, bytes(8), "models of one input; this one has 2"),
        ([spec("INT32", -1, -1, -1)], bytes(8), "which a raw binary request leaves open"),
        ([spec("INT32", -1, 2)], bytes(7), r"a raw body of 7 bytes is no row of INT32 \[-1, 2\]"),
        ([spec("INT32", -1, 2)], bytes(16), "a raw body of 16 bytes is no row"),
        ([spec("INT32", -1, -1, 2)], bytes(12), "a raw body of 12 bytes is no row"),
        ([spec("INT32", -1, -1, 2)], b"", "a raw body of 0 bytes is no row"),
        ([spec("BYTES", -1, 2)], b"text", "one text is no row of BYTES"),
        ([spec("BYTES", -1)], b"\xff", "not UTF-8"),
        ([spec("BOOL", -1, 2)], b"\x01\x02", "a BOOL is a byte of 0 or 1"),
    ],
)
def test_what_is_no_row_is_refused(specs: list[TensorSpec], body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        raw_tensor(specs, memoryview(body))
