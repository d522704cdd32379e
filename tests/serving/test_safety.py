"""Every route and every method without, with a wrong and with the right token."""

import logging
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from grpc_health.v1 import health_pb2

from serving.config import BadSetting, SafetyConfig, ServerConfig
from serving.console.files import OPEN
from serving.http.app import make_app
from serving.loading import Loader, read_cascades
from serving.safety import load_safety
from serving.services import make_services
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.serving.in_process import ToldEngine
from tests.serving.raw_http import INFER, answer, connection, head

TOKEN, OLD_TOKEN = "a-token-for-these-tests", "the-one-that-goes-soon"
RIGHT, WRONG = f"Bearer {TOKEN}", "Bearer not-the-token-of-these-tests"

HEALTH = {("GET", "/v2/health/live"), ("GET", "/v2/health/ready")}
PAGE = {(method, path.decode()) for method in ("GET", "HEAD") for path in OPEN}
OPEN_ROUTES = HEALTH | PAGE
OPEN_METHODS = {
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
}
BESIDE_ROUTES = [
    ("POST", INFER),
    ("POST", "/v2/models/digits/versions/1/infer"),
    ("POST", "/v2/health/live/infer"),
    ("GET", INFER),
    ("GET", "/nope"),
    ("DELETE", "/v2"),
    ("OPTIONS", "/v2/models/digits"),
    ("GET", "//v2/health/live"),
    ("GET", "/v2/health/live/"),
    ("GET", "/v2/health/live/../../models/digits"),
    ("GET", "/v2/health/%6Cive"),
    ("GET", "/v2/models/digits?x=/v2/health/live"),
    ("GET", "/V2/health/live"),
]
"""What the application does not list: the inference route, and paths that lead nowhere."""


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    file.touch(0o600)
    file.write_text(f"{TOKEN}\n{OLD_TOKEN}\n")
    return file


@pytest.fixture(scope="module")
def server(repository: Repository, token_file: Path) -> Iterator[Server]:
    with serving(repository.path, "--token-file", str(token_file)) as running:
        yield running


def routes(repository: Repository) -> set[tuple[str, str]]:
    engine: Any = ToldEngine(Loader(repository.path, 8).load_all(read_cascades(repository.path)))
    services = make_services(engine, ServerConfig(repository=repository.path))
    try:
        listed: Any = make_app(services).routes
    finally:
        services.close()
    names = {"model": "digits", "version": "1", "region": "r"}
    return {(method, route.path.format(**names)) for route in listed for method in route.methods}


def http_status(server: Server, method: str, path: str, *headers: str) -> int:
    with connection(server.http) as wire:
        wire.sendall(head(*headers, method=method, path=path))
        return int(wire.recv(12, socket.MSG_WAITALL).split(b" ")[1])


def refused_routes(server: Server, asked: Iterable[tuple[str, str]], *headers: str) -> set[tuple[str, str]]:
    return {(method, path) for method, path in asked if http_status(server, method, path, *headers) == 401}


def test_every_route_needs_a_token(server: Server, repository: Repository) -> None:
    asked = {*routes(repository), *BESIDE_ROUTES}
    assert {*OPEN_ROUTES, ("GET", "/metrics"), ("GET", "/v2/models/digits/versions/1/config")} < asked
    assert refused_routes(server, asked) == asked - OPEN_ROUTES
    assert refused_routes(server, asked, f"Authorization: {WRONG}") == asked - OPEN_ROUTES
    assert refused_routes(server, asked, f"Authorization: {RIGHT}") == set()
    assert refused_routes(server, asked, f"authorization: Bearer {OLD_TOKEN}") == set()


@pytest.mark.parametrize(
    ("headers", "challenge", "text"),
    [
        ((), 'Bearer realm="exitgate"', "a token is needed: `authorization: Bearer TOKEN`"),
        (
            (f"Authorization: {WRONG}",),
            'Bearer realm="exitgate", error="invalid_token"',
            "the token is unknown",
        ),
    ],
)
def test_a_body_is_not_waited_for(
    headers: tuple[str, ...], challenge: str, text: str, server: Server
) -> None:
    with connection(server.http) as wire:
        wire.sendall(head("Content-Length: 60000000", *headers))
        status, answered, content = answer(wire)
    assert status == 401
    assert answered["www-authenticate"] == challenge
    assert content.decode() == f'{{"error":"{text}"}}'


def test_a_refusal_leaves_the_connection_as_it_was(server: Server) -> None:
    """A body that nobody wanted is passed over, and HEAD gets none."""
    asked = head("Content-Length: 5") + b"first" + head(method="HEAD", path="/v2")
    asked += head(f"Authorization: {RIGHT}", method="GET", path="/v2/models/digits/ready")
    found = b""
    with connection(server.http) as wire:
        wire.sendall(asked)
        while b"digits" not in found:
            found += wire.recv(4096)
    _, first, second, third = found.split(b"HTTP/1.1 ")
    assert first.startswith(b"401 ") and first.endswith(b'TOKEN`"}')
    assert second.startswith(b"401 ") and second.endswith(b"\r\n\r\n")
    assert third.startswith(b"200 ")


def methods() -> list[tuple[str, bool]]:
    """Each with whether it answers in a stream."""
    services = (
        triton_grpc.service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
        health_pb2.DESCRIPTOR.services_by_name["Health"],
    )
    return [
        (f"/{service.full_name}/{method.name}", method.server_streaming)
        for service in services
        for method in service.methods
    ]


def grpc_status(channel: grpc.Channel, method: str, is_streaming: bool, token: str | None) -> grpc.StatusCode:
    metadata = None if token is None else (("authorization", token),)
    try:
        if is_streaming:
            call = channel.unary_stream(method)(b"", metadata=metadata, timeout=10)
            next(call)
            call.cancel()
        else:
            channel.unary_unary(method)(b"", metadata=metadata, timeout=10)
    except StopIteration:
        pass
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def refused_methods(server: Server, token: str | None) -> set[str]:
    asked = [*methods(), ("/inference.GRPCInferenceService/Nope", False), ("/nope.Nope/Nope", True)]
    with grpc.insecure_channel(server.grpc) as channel:
        codes = {name: grpc_status(channel, name, streams, token) for name, streams in asked}
    assert not [code for code in codes.values() if code == grpc.StatusCode.DEADLINE_EXCEEDED]
    return {name for name, code in codes.items() if code == grpc.StatusCode.UNAUTHENTICATED}


def test_every_method_needs_a_token(server: Server) -> None:
    names = {name for name, _ in methods()}
    assert names > OPEN_METHODS
    unknown = {"/inference.GRPCInferenceService/Nope", "/nope.Nope/Nope"}
    assert refused_methods(server, None) == (names | unknown) - OPEN_METHODS
    assert refused_methods(server, WRONG) == (names | unknown) - OPEN_METHODS
    assert refused_methods(server, RIGHT) == set()
    assert refused_methods(server, f"Bearer {OLD_TOKEN}") == set()


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer", "ModelReady"])
def test_a_message_is_not_waited_for(method: str, server: Server) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        ended = channel.stream_stream(f"/inference.GRPCInferenceService/{method}")(never(), timeout=10)
        with pytest.raises(grpc.RpcError) as caught:
            next(ended)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert caught.value.details() == "a token is needed: `authorization: Bearer TOKEN`"


def never() -> Iterator[bytes]:
    """Nothing, until the call is over."""
    threading.Event().wait(10)
    yield from ()


@pytest.mark.parametrize("module", [triton_http, triton_grpc])
def test_who_sends_a_token_is_answered(module: Any, server: Server, repository: Repository) -> None:
    address = server.http if module is triton_http else server.grpc
    image = repository.test.image[:4]
    tensor = module.InferInput("image", [4, 8, 8, 1], "UINT8").set_data_from_numpy(image)
    with module.InferenceServerClient(address) as client:
        given = client.infer(
            "digits", [tensor], parameters={"policy": "first"}, headers={"authorization": RIGHT}
        )
    expected = repository.scores.outputs[0][:4].argmax(axis=1)
    assert given.as_numpy("label").tolist() == expected.tolist()


def test_nothing_is_asked_where_there_are_no_tokens(repository: Repository) -> None:
    with serving(repository.path) as open_server:
        assert http_status(open_server, "GET", "/v2/models/digits") == 200
        assert refused_methods(open_server, None) == set()


SAFE = [
    {"token_file": Path("t")},
    {"tls_cert": Path("c"), "tls_key": Path("k"), "tls_client_ca": Path("a")},
    {"insecure": True},
]
UNSAFE: list[dict[str, Any]] = [{}, {"tls_cert": Path("c"), "tls_key": Path("k")}]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_beyond_loopback_clients_must_be_known(host: str) -> None:
    for safety in SAFE:
        ServerConfig(repository=Path("r"), host=host, safety=SafetyConfig(**safety))
    for safety in UNSAFE:
        with pytest.raises(BadSetting, match=f"^host is '{host}'; it must be a loopback address, unless"):
            ServerConfig(repository=Path("r"), host=host, safety=SafetyConfig(**safety))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_anybody_may_ask(host: str) -> None:
    for safety in (*SAFE, *UNSAFE):
        ServerConfig(repository=Path("r"), host=host, safety=SafetyConfig(**safety))


@pytest.mark.parametrize(
    ("host", "has_token", "warning"),
    [
        ("127.0.0.1", True, None),
        ("127.0.0.1", False, None),
        ("0.0.0.0", True, "tokens go to 0.0.0.0 in the clear; --tls-cert and --tls-key would hide them"),
        ("0.0.0.0", False, "--insecure: whoever reaches 0.0.0.0 may ask"),
    ],
)
def test_what_is_not_safe_is_said(
    host: str, has_token: bool, warning: str | None, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    safety = SafetyConfig(token_file=token_file if has_token else None, insecure=not has_token)
    with caplog.at_level(logging.WARNING, "exitgate"):
        load_safety(ServerConfig(repository=Path("r"), host=host, safety=safety))
    assert [record.getMessage() for record in caplog.records] == ([warning] if warning else [])
