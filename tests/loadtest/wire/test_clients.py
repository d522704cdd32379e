import asyncio

import pytest

from loadtest.errors import TargetError
from loadtest.wire.client import Client
from loadtest.wire.clients import fetch_served, open_clients, server_cpu_s
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target
from tests.loadtest.tiny_server import TinyServer


def test_there_is_a_client_for_each_target_and_model(server: TinyServer) -> None:
    targets = [parse_target(server.http_url), parse_target(server.grpc_url)]

    async def opened() -> dict[tuple[str, str], str]:
        async with open_clients(targets, ["tiny", "tiny-0"], WireOptions()) as clients:
            assert all(client.target == target for (target, _), client in clients.items())
            names = [(await client.describe()).name for client in clients.values()]
            keys = [(target.protocol, model) for target, model in clients]
            return dict(zip(keys, names, strict=True))

    expected = {(p, m): m for p in ("http", "grpc") for m in ("tiny", "tiny-0")}
    assert asyncio.run(opened()) == expected


def test_cpu_seconds_are_asked_of_whichever_protocol_tells(server: TinyServer) -> None:
    targets = [parse_target(server.grpc_url), parse_target(server.http_url)]

    async def asked() -> float | None:
        async with open_clients(targets, ["tiny"], WireOptions()) as clients:
            return await server_cpu_s(clients.values())

    assert (asyncio.run(asked()) or 0) > 0


def test_cpu_seconds_are_unknown_where_the_server_does_not_answer() -> None:
    async def of_nobody() -> float | None:
        async with open_clients([parse_target("http://127.0.0.1:1")], ["tiny"], WireOptions()) as clients:
            (client,) = clients.values()
            with pytest.raises(TargetError):
                await client.server_cpu_s()
            return await server_cpu_s(clients.values())

    assert asyncio.run(of_nobody()) is None


def test_no_proxy_of_the_environment_is_asked(server: TinyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy could carry the load to another machine."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)

    async def fetched() -> list[Client]:
        targets = [parse_target(server.http_url), parse_target(server.grpc_url)]
        async with open_clients(targets, ["tiny"], WireOptions()) as clients:
            return [c for c in clients.values() if (await fetch_served(c)).name == "tiny"]

    assert len(asyncio.run(fetched())) == 2
