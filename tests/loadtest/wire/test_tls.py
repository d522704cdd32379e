"""Against this project's own server, with certificates of an authority of one's own."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtest.errors import ConfigError, TargetError
from loadtest.wire.client import Ask, Client, Status
from loadtest.wire.clients import fetch_served, open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import Target, parse_target
from loadtest.wire.tensors import NamedTensor
from loadtest.wire.tls import grpc_credentials, http_context
from loadtest.wire.token_file import read_token
from tests.repositories import Repository, make_repository
from tests.servers import Server, serving
from tests.serving.certificates import Pair, issue, make_authority, openssl

PROTOCOLS = ("http", "grpc")
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Pair:
    return make_authority(folder, "authority")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def server(repository: Repository, authority: Pair, folder: Path) -> Iterator[Server]:
    """Wants a certificate and a token."""
    own, tokens = issue(authority, folder, "server"), folder / "tokens"
    tokens.touch(0o600)
    tokens.write_text("# of these tests\na-token-for-these-tests\n")
    flags = {"cert": own.cert, "key": own.key, "client-ca": authority.cert}
    arguments = [part for name, file in flags.items() for part in (f"--tls-{name}", str(file))]
    with serving(repository.path, *arguments, "--token-file", str(tokens)) as running:
        yield running


@pytest.fixture(scope="module")
def options(authority: Pair, folder: Path) -> WireOptions:
    ours = issue(authority, folder, "client")
    return WireOptions(
        token="a-token-for-these-tests", ca=authority.cert, certificate=ours.cert, key=ours.key
    )


def target_of(server: Server, protocol: str) -> Target:
    return parse_target(f"{protocol}s://{getattr(server, protocol)}")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_certificate_and_a_token_open_every_call(
    protocol: str, server: Server, options: WireOptions, repository: Repository, folder: Path
) -> None:
    async def asked(client: Client) -> None:
        served = await fetch_served(client)
        assert served.num_stages == len(repository.cascade.stages)
        image = NamedTensor("image", "UINT8", repository.test.image[:32])
        request = client.encode(Ask(inputs=[image], outputs=["label"], policy="first"))
        reply = await client.send(request)
        expected = repository.scores.outputs[0].argmax(axis=1)[:32]
        assert np.array_equal(client.decode(reply).outputs["label"], expected)
        assert (await client.statistics())["digits"].rows >= 32
        if protocol == "http":
            assert (await client.server_cpu_s() or 0) > 0

    async def run() -> None:
        with_file = replace(options, token=read_token(folder / "tokens"))
        async with open_clients([target_of(server, protocol)], ["digits"], with_file) as clients:
            for client in clients.values():
                await asked(client)

    asyncio.run(run())


def failure(server: Server, protocol: str, options: WireOptions) -> tuple[str, Status]:
    """What describing the model says, and what becomes of a request."""

    async def run() -> tuple[str, Status]:
        async with open_clients([target_of(server, protocol)], ["digits"], options) as clients:
            (client,) = clients.values()
            with pytest.raises(TargetError) as caught:
                await client.describe()
            reply = await client.send(client.encode(Ask(inputs=[], outputs=["label"])))
            return str(caught.value), reply.status

    return asyncio.run(run())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_the_token_it_is_refused(protocol: str, server: Server, options: WireOptions) -> None:
    for token in (None, "another-token-altogether"):
        message, status = failure(server, protocol, replace(options, token=token))
        assert ("401" if protocol == "http" else "UNAUTHENTICATED") in message
        assert "token" in message
        assert status is Status.REFUSED


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_our_certificate_there_is_no_connection(
    protocol: str, server: Server, options: WireOptions
) -> None:
    message, status = failure(server, protocol, replace(options, certificate=None, key=None))
    assert "cannot be reached" in message
    assert status is Status.BROKEN


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_of_another_authority_is_not_trusted(
    protocol: str, server: Server, options: WireOptions
) -> None:
    """The system's authorities do not know it."""
    message, status = failure(server, protocol, replace(options, ca=None))
    assert "cannot be reached" in message
    assert status is Status.BROKEN


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_with_tls_is_not_reached_without(
    protocol: str, server: Server, options: WireOptions
) -> None:
    target = replace(target_of(server, protocol), is_tls=False)

    async def run() -> Status:
        async with open_clients([target], ["digits"], options) as clients:
            (client,) = clients.values()
            with pytest.raises(TargetError):
                await client.check_ready()
            return (await client.send(client.encode(Ask(inputs=[], outputs=["label"])))).status

    assert asyncio.run(run()) is Status.BROKEN


@pytest.fixture(scope="module")
def spoilt(authority: Pair, folder: Path) -> Path:
    here = folder / "spoilt"
    here.mkdir()
    one, other = issue(authority, here, "one"), issue(authority, here, "other")
    (here / "text").write_text("no certificate")
    openssl("ec", "-in", one.key, "-aes128", "-passout", "pass:x", "-out", here / "locked")
    assert other.key.exists()
    return here


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ca": "nowhere"}, "CA {}/nowhere: No such file or directory"),
        ({"ca": "text"}, "CA {}/text holds no certificate in PEM"),
        ({"ca": "one.key"}, "CA {}/one.key holds no certificate in PEM"),
        (
            {"certificate": "nowhere", "key": "one.key"},
            "certificate {}/nowhere: No such file or directory",
        ),
        ({"certificate": "one.pem", "key": "nowhere"}, "key {}/nowhere: No such file or directory"),
        (
            {"certificate": "one.pem", "key": "other.key"},
            "key {0}/other.key is not the key of certificate {0}/one.pem",
        ),
        ({"certificate": "text", "key": "one.key"}, "certificate {0}/text with key {0}/one.key: "),
        (
            {"certificate": "one.pem", "key": "locked"},
            "key {}/locked is encrypted; give it without a password",
        ),
        ({"key": "one.key"}, "key {}/one.key is given without its certificate"),
    ],
)
def test_a_file_that_is_no_good_is_named(files: dict[str, str], message: str, spoilt: Path) -> None:
    options = WireOptions(**{name: spoilt / file for name, file in files.items()})
    for make in (http_context, grpc_credentials):
        with pytest.raises(ConfigError) as caught:
            make(options)
        assert str(caught.value).startswith(message.format(spoilt))


def test_certificate_and_key_may_be_in_one_file(spoilt: Path) -> None:
    both = spoilt / "both.pem"
    both.write_text((spoilt / "one.pem").read_text() + (spoilt / "one.key").read_text())
    http_context(WireOptions(certificate=both))
    grpc_credentials(WireOptions(certificate=both))
