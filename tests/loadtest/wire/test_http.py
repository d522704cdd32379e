import asyncio

import numpy as np
import pytest

from loadtest.wire.client import Ask, Client, Reply, Request, Status
from loadtest.wire.http import HttpClient
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_server import TinyServer
from tests.loadtest.wire.scripted_server import Step, scripted

X = NamedTensor("x", "FP32", np.array([[0.5, 1], [0.9, 0]], np.float32))
ASK = Ask(inputs=[X], outputs=["label", "score", "accepted", "exit_stage", "exit_reason"], policy="window")


async def answered(client: Client, ask: Ask) -> tuple[Request, Reply]:
    request = client.encode(ask)
    try:
        return request, await client.send(request)
    finally:
        await client.close()


@pytest.mark.parametrize("is_json", [False, True])
def test_a_request_is_answered_binary_and_in_json(server: TinyServer, is_json: bool) -> None:
    async def asked() -> tuple[Request, Reply]:
        options = WireOptions(is_json=is_json)
        return await answered(HttpClient(parse_target(server.http_url), "tiny", options), ASK)

    request, reply = asyncio.run(asked())
    assert (b"Inference-Header-Content-Length" in request.body) != is_json
    assert (b"Content-Type: application/json\r\n" in request.body) == is_json
    assert (reply.json_bytes is None) == is_json
    outputs = HttpClient(parse_target(server.http_url), "tiny", WireOptions()).decode(reply).outputs
    assert outputs["label"].tolist() == [1, 0]
    assert np.array_equal(outputs["score"], X.array[:, 0])
    assert outputs["accepted"].tolist() == [True, True]
    assert outputs["exit_stage"].tolist() == [2, 1]
    assert outputs["exit_reason"].tolist() == ["last", "window"]
    assert outputs["label"].dtype == np.int64 and outputs["score"].dtype == np.float32


def test_a_plain_model_is_asked_without_parameters(server: TinyServer) -> None:
    async def asked() -> Reply:
        client = HttpClient(parse_target(server.http_url), "tiny-0", WireOptions())
        return (await answered(client, Ask(inputs=[X], outputs=["logits"])))[1]

    client = HttpClient(parse_target(server.http_url), "tiny-0", WireOptions())
    assert client.decode(asyncio.run(asked())).outputs["logits"].tolist() == [[0, 1], [1, 0]]


def answer(status: int, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("status", "body", "headers", "reply"),
    [
        (503, '{"error": "full"}', (), Reply(Status.REFUSED, detail="503: full")),
        (429, "slow down", (), Reply(Status.SHED, detail="429: slow down")),
        (
            503,
            '{"error": "full"}',
            ("Retry-After: 2",),
            Reply(Status.SHED, detail="503 (retry after 2 s): full"),
        ),
        (504, '{"error": "late"}', (), Reply(Status.REFUSED, detail="504: late")),
        (400, "[]", (), Reply(Status.REFUSED, detail="400: []")),
        (302, "", ("Location: http://example.org/",), Reply(Status.REFUSED, detail="302: ")),
        (200, "body", ("inference-header-content-length: 3",), Reply(Status.OK, b"body", 3)),
        (200, "body", ("Inference-Header-Content-Length: -3",), Reply(Status.OK, b"body", None)),
    ],
)
def test_what_the_server_says_is_told(status: int, body: str, headers: tuple[str, ...], reply: Reply) -> None:
    async def asked() -> Reply:
        async with scripted([Step((answer(status, body, *headers),))]) as server:
            return (await answered(HttpClient(server.target, "m", WireOptions()), ASK))[1]

    assert asyncio.run(asked()) == reply


def test_a_connection_that_fails_is_no_refusal() -> None:
    async def asked() -> tuple[Reply, Reply]:
        async with scripted([Step((), closes=True)]) as server:
            cut = (await answered(HttpClient(server.target, "m", WireOptions()), ASK))[1]
        return cut, (await answered(HttpClient(server.target, "m", WireOptions()), ASK))[1]

    cut, gone = asyncio.run(asked())
    assert cut == Reply(Status.BROKEN, detail="ConnectionResetError: the server closed the connection")
    assert gone.status is Status.BROKEN
    assert gone.detail.startswith("ConnectionRefusedError: ")


def test_what_goes_out_is_one_message_with_the_token() -> None:
    async def asked() -> tuple[bytes, Request]:
        async with scripted([Step()]) as server:
            client = HttpClient(server.target, "a model", WireOptions(token="secret"))
            request, _ = await answered(client, ASK)
            return server.messages[0], request

    message, request = asyncio.run(asked())
    assert message == request.body
    head = message.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"POST /v2/models/a%20model/infer HTTP/1.1"
    assert b"Authorization: Bearer secret" in head
    assert any(line.startswith(b"Host: 127.0.0.1:") for line in head)
