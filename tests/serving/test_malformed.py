"""Malformed requests, over both protocols: a clear refusal within a second or so, and the server lives on."""

import json
import re
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.servers import Server
from tests.serving.malformed import GOOD, OVER_HTTP, PATHS, Bad
from tests.serving.raw_http import answer, connection, head, is_closed, post

SOON_S = 3.0
OFFER = ("Connection: Upgrade", "Upgrade: h2c")
INFER = "/inference.GRPCInferenceService/ModelInfer"
MIB = 2**20


def good_message() -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="digits", raw_input_contents=[bytes(64)])
    message.inputs.add(name="image", datatype="UINT8", shape=[1, 8, 8, 1])
    return message


def changed(change: Callable[[pb.ModelInferRequest], object]) -> bytes:
    message = good_message()
    change(message)
    data: bytes = message.SerializeToString()
    return data


def typed(message: pb.ModelInferRequest, **contents: list[object]) -> None:
    del message.raw_input_contents[:]
    for kind, values in contents.items():
        getattr(message.inputs[0].contents, kind).extend(values)


def reshaped(shape: list[int]) -> bytes:
    def change(message: pb.ModelInferRequest) -> None:
        message.inputs[0].shape[:] = shape

    return changed(change)


def check_alive(server: Server) -> None:
    status, document = post(server, GOOD)
    assert (status, document["outputs"][1]["shape"]) == (200, [1])


@pytest.mark.parametrize("bad", OVER_HTTP, ids=lambda bad: bad.name)
def test_over_http(bad: Bad, server: Server) -> None:
    started = time.monotonic()
    status, document = post(server, bad.body, **bad.headers)
    assert time.monotonic() - started < SOON_S
    assert status == bad.status
    assert list(document) == ["error"]
    assert re.search(bad.message if "|" in bad.message else re.escape(bad.message), document["error"])
    assert len(document["error"]) < 600
    assert not any(path in document["error"] for path in PATHS)
    check_alive(server)


OVER_GRPC = [
    ("garbage", b"\xff" * 100, "100 bytes that are no ModelInferRequest"),
    ("cut off", good_message().SerializeToString()[:-5], "bytes that are no ModelInferRequest"),
    ("a text that is not UTF-8", b"\x0a\x02\xff\xfe", "bytes that are no ModelInferRequest"),
    ("empty", b"", "unknown model ''"),
    ("shape: negative", reshaped([-1, 8, 8, 1]), "shape holds -1"),
    ("shape: zero rows", reshaped([0, 8, 8, 1]), "shape holds 0"),
    ("shape: wrong rank", reshaped([1, 64]), "got [1, 64]"),
    ("shape: product overflow", reshaped([1] + [2**31 - 1] * 3), "64 bytes of data"),
    ("shape: too many rows", reshaped([2**31 - 1] * 4), "2147483647 rows; a request may have at most 4096"),
    ("shape: over int32", reshaped([2**62, 8, 8, 1]), "shape holds 4611686018427387904"),
    ("shape: not the data's", reshaped([2, 8, 8, 1]), "64 bytes of data, 128 expected"),
    ("shape: none", reshaped([]), "shape must be a list"),
    ("datatype", changed(lambda m: setattr(m.inputs[0], "datatype", "UINT9")), "'UINT9' is unknown"),
    (
        "datatype: mismatched",
        changed(lambda m: setattr(m.inputs[0], "datatype", "INT8")),
        "is UINT8; got INT8",
    ),
    ("inputs: twice", changed(lambda m: m.inputs.append(m.inputs[0])), "2 inputs"),
    ("inputs: none", changed(lambda m: m.ClearField("inputs")), "1 raw_input_contents for 0 inputs"),
    ("inputs: another", changed(lambda m: setattr(m.inputs[0], "name", "x")), "takes inputs image; got x"),
    ("outputs: unknown", changed(lambda m: m.outputs.add(name="luck")), "unknown output 'luck'"),
    ("an id of 1 MB", changed(lambda m: setattr(m, "id", "x" * 10**6)), "an id of 1000000 characters"),
    (
        "raw contents and typed",
        changed(lambda m: m.inputs[0].contents.uint_contents.append(1)),
        "raw form too",
    ),
    ("raw contents: two", changed(lambda m: m.raw_input_contents.append(b"")), "2 raw_input_contents for 1"),
    (
        "typed: too few",
        changed(lambda m: typed(m, uint_contents=[1] * 63)),
        "63 elements of data, 64 expected",
    ),
    ("typed: of another kind", changed(lambda m: typed(m, fp32_contents=[1.0] * 64)), "0 elements of data"),
    (
        "typed: of several kinds",
        changed(lambda m: typed(m, uint_contents=[1] * 64, fp32_contents=[1.0])),
        "contents of several kinds",
    ),
    ("typed: 256", changed(lambda m: typed(m, uint_contents=[256] * 64)), "does not hold values of UINT8"),
]
CODES = {
    "empty": grpc.StatusCode.NOT_FOUND,
    "shape: too many rows": grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""Of those that are not INVALID_ARGUMENT."""


@pytest.fixture(scope="module")
def call(server: Server) -> Iterator[Callable[..., bytes]]:
    """ModelInfer with bytes for a message."""
    with grpc.insecure_channel(server.grpc, [("grpc.max_send_message_length", -1)]) as channel:
        method = channel.unary_unary(INFER)
        yield lambda data, **more: method(data, timeout=30, **more)


@pytest.mark.parametrize(("name", "data", "message"), OVER_GRPC, ids=[row[0] for row in OVER_GRPC])
def test_over_grpc(name: str, data: bytes, message: str, call: Callable[..., bytes]) -> None:
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        call(data)
    assert time.monotonic() - started < SOON_S
    assert caught.value.code() == CODES.get(name, grpc.StatusCode.INVALID_ARGUMENT)
    assert message in caught.value.details()
    assert not any(path in caught.value.details() for path in PATHS)
    assert call(good_message().SerializeToString())


@pytest.mark.parametrize("method", ["ModelMetadata", "RepositoryIndex", "SystemSharedMemoryRegister"])
def test_other_methods_refuse_garbage_too(method: str, server: Server) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(b"\xff" * 9, timeout=10)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert f"9 bytes that are no {method}Request" == caught.value.details()


def test_a_stream_survives_garbage(server: Server) -> None:
    messages = [b"\xff" * 9, good_message().SerializeToString()]
    with grpc.insecure_channel(server.grpc) as channel:
        method = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        first, second = map(pb.ModelStreamInferResponse.FromString, method(iter(messages), timeout=10))
    assert first.error_message == "9 bytes that are no ModelInferRequest"
    assert (second.error_message, second.infer_response.model_name) == ("", "digits")


def test_strings_for_numbers_over_grpc_are_refused_at_once(call: Callable[..., bytes]) -> None:
    """16 MB, which hold 4 million."""
    message = good_message()
    message.inputs[0].datatype, message.inputs[0].shape[:] = "BYTES", [4 * MIB]
    message.raw_input_contents[0] = bytes(16 * MIB)
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        call(message.SerializeToString())
    assert caught.value.details() == "input 'image' is UINT8; got BYTES"
    assert time.monotonic() - started < 1.0


def peak_mib(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def test_grpc_bounds_messages_as_they_come_and_unpacked(server: Server, call: Callable[..., bytes]) -> None:
    """A bomb of 200 KB that unpacks to 200 MB takes no more memory than the largest message."""
    before = peak_mib(server)
    bomb = bytes(200 * MIB)
    for compression in (grpc.Compression.Gzip, grpc.Compression.NoCompression):
        started = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            call(bomb, compression=compression)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert time.monotonic() - started < 3 * SOON_S  # most of it to pack
    assert peak_mib(server) - before < 150
    assert call(good_message().SerializeToString(), compression=grpc.Compression.Gzip)


def test_http_bounds_a_chunked_body(server: Server) -> None:
    chunk = bytes(MIB)
    with connection(server.http) as client:
        client.sendall(head("Transfer-Encoding: chunked"))
        for _ in range(200):
            try:
                client.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            except OSError:
                break
            if select.select([client], [], [], 0)[0]:
                break
        status, _, body = answer(client)
    assert (status, json.loads(body)) == (413, {"error": "a body of more than 67108864 bytes"})
    check_alive(server)


def test_a_body_in_one_byte_chunks_is_joined(server: Server) -> None:
    spaces = b"1\r\n \r\n" * 200_000
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    with connection(server.http) as client:
        client.sendall(head("Transfer-Encoding: chunked") + spaces + body)
        status, _, content = answer(client)
    assert (status, json.loads(content)["model_name"]) == (200, "digits")


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "this is no HTTP/1.1 request"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "this is no HTTP/1.1 request"),
        (head("Content-Length: -1"), 400, "this is no HTTP/1.1 request"),
        (head("Content-Length: 5", "Transfer-Encoding: chunked"), 400, "this is no HTTP/1.1 request"),
        (head("Transfer-Encoding: chunked") + b"zz\r\n", 400, "this is no HTTP/1.1 request"),
        (head("X: " + "y" * 70_000), 431, "a request's head may have at most 65536 bytes"),
        (head(*(f"X{k}: y" for k in range(9_000))), 431, "a request's head may have at most 65536 bytes"),
        (head(path="/" + "x" * 70_000), 431, "a request's head may have at most 65536 bytes"),
        (b"X" * 70_000, 400, "this is no HTTP/1.1 request"),
        (head(*OFFER, "Transfer-Encoding: gzip"), 400, "this is no HTTP/1.1 request"),
        (head(*OFFER, "Transfer-Encoding: chunked") + b"zz\r\n", 400, "this is no HTTP/1.1 request"),
    ],
    ids=[
        *("TLS", "version", "length", "both lengths", "chunk", "a header", "many headers", "a path", "noise"),
        *("an offer and a coding", "an offer and a chunk"),
    ],
)
def test_what_is_no_http(sent: bytes, status: int, message: str, server: Server) -> None:
    with connection(server.http) as client:
        client.sendall(sent)
        code, headers, body = answer(client)
        assert (code, json.loads(body)) == (status, {"error": message})
        assert headers["connection"] == "close"
        assert is_closed(client)
    check_alive(server)


def test_a_long_head_with_no_end_is_refused(server: Server) -> None:
    with connection(server.http) as client:
        client.sendall(head()[:-2])
        for _ in range(20):
            try:
                client.sendall(b"X-Header: " + b"y" * 4096 + b"\r\n")
            except OSError:
                break
            time.sleep(0.01)
        assert answer(client)[0] == 431


def test_garbage_behind_a_request_does_not_take_its_answer(server: Server) -> None:
    with connection(server.http) as client:
        client.sendall(head(f"Content-Length: {len(GOOD)}") + GOOD + b"\0garbage\r\n\r\n")
        status, _, body = answer(client)
        assert (status, json.loads(body)["model_name"]) == (200, "digits")
        assert is_closed(client)


@pytest.mark.parametrize("other", ["h2c", "websocket"])
def test_no_other_protocol_is_taken_up(other: str, server: Server) -> None:
    """Java's client offers one with each request. It is answered as it is, in one piece or in two."""
    offer = ("Connection: Upgrade", f"Upgrade: {other}", "Sec-WebSocket-Key: x")
    whole = head(f"Content-Length: {len(GOOD)}", *offer) + GOOD
    chunked = head("Transfer-Encoding: chunked", *offer) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    start = len(whole) - len(GOOD)
    for sent, pause in (
        (whole, len(whole)),
        (whole, start),
        (whole + whole, start + 9),
        (chunked, start + 40),
    ):
        with connection(server.http) as client:
            client.sendall(sent[:pause])
            time.sleep(0.05)
            client.sendall(sent[pause:])
            status, headers, body = answer(client)
            assert (status, json.loads(body)["model_name"]) == (200, "digits")
            assert headers["connection"] == "close"
            assert is_closed(client)
    with connection(server.http) as client:
        client.sendall(head(*offer, path="/v2/health/live", method="GET"))
        assert answer(client)[::2] == (200, b'{"live":true}')


TRAILERS = [
    pytest.param([b"X: y\r\n" * 1000] * 100, id="many"),
    pytest.param([b"X: "] + [b"y" * 6000] * 100, id="long"),
    pytest.param([b"X: y\r\n" * 100_000], id="at once"),
]


@pytest.mark.parametrize("parts", TRAILERS)
def test_trailers_are_bounded(parts: list[bytes], server: Server) -> None:
    with connection(server.http) as client:
        client.sendall(head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n" % (len(GOOD), GOOD))
        for part in parts:
            try:
                client.sendall(part)
            except OSError:
                break
            time.sleep(0.005)
        status, headers, body = answer(client)
        assert (status, headers["connection"]) == (431, "close")
        assert json.loads(body) == {"error": "a request's trailers may have at most 65536 bytes"}
    check_alive(server)


def test_trailers_are_no_headers(server: Server) -> None:
    """They come when the application has the head already."""
    chunk = b"%x\r\n%b\r\n" % (len(GOOD), GOOD)
    with connection(server.http) as client:
        for _ in range(2):
            client.sendall(head("Transfer-Encoding: chunked") + chunk)
            client.sendall(b"0\r\nInference-Header-Content-Length: 1\r\n" + b"X: y\r\n" * 5000 + b"\r\n")
            status, _, body = answer(client)
            assert (status, json.loads(body)["model_name"]) == (200, "digits")


def test_a_quoted_name_is_a_name(server: Server) -> None:
    status, document = post(server, GOOD, "/v2/models/d%69gits/infer")
    assert (status, document["model_name"]) == (200, "digits")


def test_a_large_head_before_a_large_body_is_fine(server: Server) -> None:
    with connection(server.http) as client:
        padded = b" " * 200_000 + GOOD
        client.sendall(head(f"Content-Length: {len(padded)}", "X: " + "y" * 60_000) + padded)
        assert answer(client)[0] == 200


def test_nothing_of_it_leaves_a_traceback(server: Server) -> None:
    """Stands last."""
    assert "Traceback" not in "".join(server.output)
