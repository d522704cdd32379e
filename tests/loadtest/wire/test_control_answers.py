"""Servers that are not ours, or are broken, make one clear line of an error."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascade.cascade_file import cascade_to_json
from loadtest.cli import main
from loadtest.errors import TargetError
from loadtest.wire.client import Client
from loadtest.wire.clients import fetch_cascade, open_clients, server_cpu_s
from loadtest.wire.targets import parse_target
from tests.loadtest.tiny_campaign import FAST, rows
from tests.loadtest.tiny_server import TinyServer, tiny_cascade

CONFIG, STATS = "/v2/models/tiny/config", "/v2/models/stats"
BELIED = "is not what the protocol says"
FILE = cascade_to_json(tiny_cascade())


def run(server: TinyServer, folder: Path, samples: Path) -> int:
    files = ["--samples", str(samples), "--out", str(folder / "report")]
    return main([server.http_url, "--model", "tiny", *files, *FAST])


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ({CONFIG: {"parameters": None}}, "'tiny' is served there but is no cascade"),
        ({CONFIG: {"parameters": []}}, "'tiny' is served there but is no cascade"),
        ({CONFIG: {"parameters": {"cascade": "x"}}}, BELIED),
        ({CONFIG: {"parameters": {"cascade": {"string_value": 5}}}}, "string_value is 5"),
        ({CONFIG: {"parameters": {"cascade": {"string_value": "{"}}}}, BELIED),
        ({CONFIG: {"parameters": {"cascade": {"string_value": "[]"}}}}, "cascade 'tiny'"),
        ({CONFIG: []}, BELIED),
        ({CONFIG: {"parameters": None}, STATS: {"model_stats": None}}, f"/v2/models/stats {BELIED}"),
        ({CONFIG: {"parameters": None}, STATS: {"model_stats": [{"name": []}, 3]}}, BELIED),
    ],
)
def test_a_foreign_control_answer_is_one_line(
    server: TinyServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    control: dict[str, Any],
    message: str,
) -> None:
    server.control = control
    assert run(server, tmp_path, rows(tmp_path, "test.npz")) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1
    assert message in printed


def test_a_version_that_is_an_array_is_one_line(
    server: TinyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, tmp_path, rows(tmp_path, "test.npz", format_version=np.array([1, 1]))) == 2
    assert "test.npz: format_version [1 1] is unknown" in capsys.readouterr().err


async def asked(server: TinyServer, name: str) -> Any:
    async with open_clients([parse_target(server.http_url)], "tiny") as (client,):
        return await getattr(client, name)()


def test_rows_of_all_versions_are_added_up(server: TinyServer) -> None:
    models = [{"name": "m", "inference_count": 3}, {"name": "m", "inference_count": "4"}, {"name": "n"}]
    server.control = {STATS: {"model_stats": models}}
    assert asyncio.run(asked(server, "executed_rows")) == {"m": 7, "n": 0}


def test_cpu_seconds_are_unknown_where_the_server_does_not_answer() -> None:
    async def of_nobody() -> float | None:
        async with open_clients([parse_target("http://127.0.0.1:1")], "tiny") as clients:
            with pytest.raises(TargetError):
                await clients[0].server_cpu_s()
            return await server_cpu_s(clients)

    assert asyncio.run(of_nobody()) is None


def test_no_proxy_of_the_environment_is_asked(server: TinyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy could carry the load to another machine."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)

    async def fetched() -> list[Client]:
        targets = [parse_target(server.http_url), parse_target(server.grpc_url)]
        async with open_clients(targets, "tiny") as clients:
            assert json.loads(json.dumps(cascade_to_json(await fetch_cascade(clients, "tiny")))) == FILE
            return list(clients)

    assert len(asyncio.run(fetched())) == 2
