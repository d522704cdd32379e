"""Inference: values, tensors as JSON and as bytes, chosen outputs, requests in flight, compression."""

import asyncio
import gzip
import http.client
import json
import queue
import signal
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.http as triton_http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from tests.conformance.clients import GRPC, HTTP, Client, connect
from tests.conformance.targets import INPUT, VERSION, Target
from tests.repositories import CLASSES

IN_FLIGHT = 12
PATIENCE_S = 0.3
LONG = 32
"""Rows whose answer is long enough to be compressed."""

DECOMPRESS = {"gzip": gzip.decompress, "deflate": zlib.decompress}


def ask(client: Client, target: Target, start: int, rows: int, **arguments: Any) -> Any:
    return client.infer(target.model, [client.input(INPUT, target.images(start, rows))], **arguments)


@pytest.mark.parametrize("rows", [1, 7, 32])
def test_values(rows: int, client: Client, target: Target) -> None:
    result = ask(client, target, rows, rows)
    target.check(result.as_numpy(target.output), rows, rows)
    answer = client.answer(result)
    assert (answer["model"], answer["version"], answer["id"]) == (target.model, VERSION, "")
    assert target.output in answer["outputs"]


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize("binary_in", [True, False], ids=["bytes-in", "json-in"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["bytes-out", "json-out"])
def test_tensors_as_json_and_as_bytes(
    binary_in: bool, binary_out: bool, client: Client, target: Target
) -> None:
    image = client.input(INPUT, target.images(3, 5), is_binary=binary_in)
    wanted = client.output(target.output, is_binary=binary_out)
    result = client.infer(target.model, [image], outputs=[wanted])
    target.check(result.as_numpy(target.output), 3, 5)
    assert ("data" in result.get_output(target.output)) == (not binary_out)


def test_typed_contents(target: Target) -> None:
    """Of gRPC, which tritonclient never sends and other clients do."""
    request = service_pb2.ModelInferRequest(model_name=target.model)
    tensor = request.inputs.add(name=INPUT, datatype="UINT8", shape=[2, 8, 8, 1])
    tensor.contents.uint_contents.extend(target.images(0, 2).ravel().tolist())
    request.outputs.add(name=target.output)
    with grpc.insecure_channel(target.server.grpc) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=10)
    found = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(-1, CLASSES)
    target.check(found, 0, 2)


def post(target: Target, body: bytes, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
    """By no client's library, as curl would."""
    host, port = target.server.http.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request("POST", f"/v2/models/{target.model}/infer", body, headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("is_flat", [True, False], ids=["flat", "nested"])
def test_json_by_hand(is_flat: bool, target: Target) -> None:
    images = target.images(6, 2)
    data = images.ravel().tolist() if is_flat else images.tolist()
    tensor = {"name": INPUT, "shape": list(images.shape), "datatype": "UINT8", "data": data}
    response, body = post(target, json.dumps({"id": "an-id", "inputs": [tensor]}).encode(), {})
    answer = json.loads(body)
    assert (response.status, answer["id"], answer["model_name"]) == (200, "an-id", target.model)
    (output,) = (output for output in answer["outputs"] if output["name"] == target.output)
    assert (output["datatype"], output["shape"]) == ("FP32", [2, CLASSES])
    target.check(np.array(output["data"], np.float32).reshape(-1, CLASSES), 6, 2)


def test_a_request_that_is_one_row_and_nothing_else(target: Target) -> None:
    """The protocol's raw binary request: its JSON has 0 bytes."""
    row = target.images(9, 1)
    response, body = post(target, row.tobytes(), {"Inference-Header-Content-Length": "0"})
    length = int(response.getheader("Inference-Header-Content-Length") or 0)
    result = triton_http.InferenceServerClient.parse_response_body(body, header_length=length)
    target.check(result.as_numpy(target.output), 9, 1)


def test_headers_and_query_parameters_of_the_clients_own(client: Client, target: Target) -> None:
    """Proxies' and tracers': they change nothing."""
    query = {"query_params": {"trace": "1"}} if client.is_http else {}
    assert client.is_server_live(headers={"x-trace": "1"}, **query) is True
    result = ask(client, target, 4, 2, headers={"x-trace": "1"}, **query)
    target.check(result.as_numpy(target.output), 4, 2)


def test_only_the_outputs_that_were_named(client: Client, target: Target) -> None:
    result = ask(client, target, 0, 2, outputs=[client.output(target.output)])
    assert client.answer(result)["outputs"] == [target.output]


def test_the_id_comes_back_and_the_version_is_heeded(client: Client, target: Target) -> None:
    result = ask(client, target, 4, 2, request_id="an-id", model_version=VERSION)
    answer = client.answer(result)
    assert (answer["id"], answer["version"]) == ("an-id", VERSION)
    target.check(result.as_numpy(target.output), 4, 2)


def test_a_generous_timeout_and_a_priority(client: Client, target: Target) -> None:
    """The protocol's own parameters; the time is in microseconds."""
    result = ask(client, target, 4, 2, timeout=30_000_000, priority=1)
    target.check(result.as_numpy(target.output), 4, 2)


def test_many_in_flight_each_get_their_own_answer(client: Client, target: Target) -> None:
    for number, result in enumerate(FLIGHTS[client.kind](client, target)):
        target.check(result.as_numpy(target.output), number, number + 1)
        assert client.answer(result)["id"] == str(number)


def _requests(client: Client, target: Target) -> list[tuple[list[Any], str]]:
    return [([client.input(INPUT, target.images(n, n + 1))], str(n)) for n in range(IN_FLIGHT)]


def _by_http(client: Client, target: Target) -> list[Any]:
    sent = [
        client.async_infer(target.model, inputs, request_id=name)
        for inputs, name in _requests(client, target)
    ]
    return [request.get_result(timeout=10) for request in sent]


def _by_grpc(client: Client, target: Target) -> list[Any]:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    for inputs, name in _requests(client, target):
        client.async_infer(
            target.model, inputs, lambda result, error: answers.put((result, error)), request_id=name
        )
    found = [answers.get(timeout=10) for _ in range(IN_FLIGHT)]
    assert [error for _, error in found if error is not None] == []
    return sorted((result for result, _ in found), key=lambda result: int(result.get_response().id))


def _by_asyncio(client: Client, target: Target) -> list[Any]:
    async def together() -> list[Any]:
        calls = [
            client.raw.infer(target.model, inputs, request_id=name)
            for inputs, name in _requests(client, target)
        ]
        return list(await asyncio.gather(*calls))

    return list(client.run(together()))


FLIGHTS = {"http": _by_http, "grpc": _by_grpc, "http.aio": _by_asyncio, "grpc.aio": _by_asyncio}


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize("answer", ["gzip", "deflate", None])
@pytest.mark.parametrize("request_", ["gzip", "deflate", None])
def test_compression_over_http(
    request_: str | None, answer: str | None, client: Client, target: Target
) -> None:
    result = ask(
        client,
        target,
        1,
        LONG,
        request_compression_algorithm=request_,
        response_compression_algorithm=answer,
    )
    target.check(result.as_numpy(target.output), 1, LONG)


@pytest.mark.parametrize("kind", GRPC)
@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression_over_grpc(algorithm: str, client: Client, target: Target) -> None:
    result = ask(client, target, 1, LONG, compression_algorithm=algorithm)
    target.check(result.as_numpy(target.output), 1, LONG)


@pytest.mark.parametrize("kind", ["http"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_the_answer_is_really_compressed(encoding: str, client: Client, target: Target) -> None:
    body, json_length = client.raw.generate_request_body([client.input(INPUT, target.images(1, LONG))])
    headers = {"Accept-Encoding": encoding, "Inference-Header-Content-Length": str(json_length)}
    response, packed = post(target, body, headers)
    assert response.getheader("Content-Encoding") == encoding
    result = client.raw.parse_response_body(
        DECOMPRESS[encoding](packed),
        header_length=int(response.getheader("Inference-Header-Content-Length") or 0),
    )
    target.check(result.as_numpy(target.output), 1, LONG)


IMPATIENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "http": ({"network_timeout": PATIENCE_S}, {}),
    "http.aio": ({"conn_timeout": PATIENCE_S}, {}),
    "grpc": ({}, {"client_timeout": PATIENCE_S}),
    "grpc.aio": ({}, {"client_timeout": PATIENCE_S}),
}
"""Of each client what it is made with, and what a call is made with."""


def test_a_client_that_gives_up_harms_nobody(kind: str, target: Target) -> None:
    options, arguments = IMPATIENT[kind]
    with connect(kind, target.server, **options) as client, stopped(target.server.process):
        started_s = time.monotonic()
        with pytest.raises((TimeoutError, InferenceServerException)) as gave_up:
            ask(client, target, 0, 2, **arguments)
        assert isinstance(gave_up.value, TimeoutError) or "DEADLINE_EXCEEDED" in str(gave_up.value)
        assert PATIENCE_S / 2 < time.monotonic() - started_s < 5
    with connect(kind, target.server) as client:
        target.check(ask(client, target, 5, 2).as_numpy(target.output), 5, 2)


@contextmanager
def stopped(process: "subprocess.Popen[Any]") -> Iterator[None]:
    """A server that takes connections, as the kernel does for it, and answers nothing."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
