import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.case import Case
from loadtest.config import Subject
from loadtest.errors import ConfigError, TargetError
from loadtest.measure.contenders import baseline, check_contender, fetch_cases
from loadtest.wire.clients import open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target
from tests.loadtest.tiny_cases import tiny_case
from tests.loadtest.tiny_server import TinyServer, tiny_server


async def fetch(urls: list[str], models: tuple[str, ...], policies: tuple[str, ...] = ()) -> tuple[Case, ...]:
    targets = tuple(parse_target(url) for url in urls)
    subject = Subject(targets=targets, models=models, policies=policies, samples=Path("test.npz"))
    async with open_clients(targets, models, WireOptions()) as clients:
        return await fetch_cases(clients, subject)


def names(cases: tuple[Case, ...]) -> list[str]:
    return [case.name for case in cases]


def test_every_policy_of_a_cascade_at_every_target(server: TinyServer) -> None:
    cases = asyncio.run(fetch([server.http_url, server.grpc_url], ("tiny",)))
    assert names(cases) == [f"{p} over {w}" for p in ("first", "window", "full") for w in ("http", "grpc")]
    assert baseline(cases, None) == "full"
    assert baseline(cases, "first") == "first"


def test_the_server_s_own_choice_is_asked_for_by_naming_no_policy(server: TinyServer) -> None:
    served, named = asyncio.run(fetch([server.http_url], ("tiny",), ("@server", "first")))
    assert (served.contender, served.policy, served.kind) == ("@server", None, "window")
    assert (named.contender, named.policy, named.kind) == ("first", "first", "first")


def test_what_the_server_chooses_is_no_baseline_while_a_policy_is_told_to_run_all(server: TinyServer) -> None:
    served, named = asyncio.run(fetch([server.http_url], ("tiny",), ("@server", "full")))
    assert served.cascade is not None
    full_by_default = replace(served.served, cascade=replace(served.cascade, default_policy="full"))
    served = replace(served, served=full_by_default)
    assert served.kind == "full"
    assert not served.runs_all and named.runs_all
    assert baseline((served, named), None) == "full"


def test_several_servers_of_one_protocol_are_told_apart_by_their_addresses(server: TinyServer) -> None:
    with tiny_server() as second:
        cases = asyncio.run(fetch([server.http_url, second.http_url], ("tiny",), ("full",)))
    assert names(cases) == [f"full over http 127.0.0.1:{port.http_port}" for port in (server, second)]


def test_a_plain_model_is_a_contender_of_its_own_name(server: TinyServer) -> None:
    cases = asyncio.run(fetch([server.http_url], ("tiny-0", "tiny"), ("window",)))
    assert names(cases) == ["tiny-0 over http", "tiny: window over http"]
    assert (cases[0].kind, cases[0].cascade) == ("", None)
    assert baseline(cases, None) == "tiny-0"


def test_a_model_that_one_of_several_servers_lacks_is_left_out_there(server: TinyServer) -> None:
    with tiny_server() as second:
        del second.executed["tiny-0"]
        cases = asyncio.run(fetch([server.http_url, second.http_url], ("tiny", "tiny-0"), ("full",)))
    assert [case.name.split(" over")[0] for case in cases] == ["tiny: full", "tiny: full", "tiny-0"]


def test_a_model_without_the_policy_asked_for_is_driven_as_it_is_served(server: TinyServer) -> None:
    cases = asyncio.run(fetch([server.http_url], ("tiny", "tiny-0"), ("window",)))
    assert names(cases) == ["tiny: window over http", "tiny-0 over http"]
    assert cases[1].policy is None


def test_what_does_not_fit_is_refused(server: TinyServer) -> None:
    with pytest.raises(
        TargetError, match="'tiny' has no policy 'none'; there are: first, window, full, and @server"
    ):
        asyncio.run(fetch([server.http_url], ("tiny",), ("none",)))
    with pytest.raises(TargetError, match="'other' is not served there"):
        asyncio.run(fetch([server.http_url], ("tiny", "other")))
    with pytest.raises(ConfigError, match="--baseline 'x' is no contender; there are: window"):
        check_contender([tiny_case()], "x", "--baseline")
