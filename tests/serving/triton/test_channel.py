"""Several addresses, an end that went silent, and TLS, with real gRPC servers."""

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from serving.errors import MemberDown, StartupError
from serving.triton.channel import connect, target
from serving.triton.config import TlsConfig, TritonConfig, parse_address
from serving.triton.member import TritonMember
from tests.serving.certificates import EC, Pair, openssl
from tests.serving.triton.answering import ROWS, Answering, answering, member_of

INPUTS = {"numbers": ROWS}
DOUBLED = (2 * ROWS).tolist()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Of nobody, and nobody else's as long as it is held."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        (["triton.example:8001"], "dns:///triton.example:8001"),
        (["127.0.0.1:8001"], "dns:///127.0.0.1:8001"),
        (["[::1]:8001"], "dns:///[::1]:8001"),
        (["10.0.0.1:8001", "10.0.0.2:9001"], "ipv4:10.0.0.1:8001,10.0.0.2:9001"),
        (["[fd00::1]:8001", "[fd00::2]:9001"], "ipv6:[fd00::1]:8001,[fd00::2]:9001"),
        (["10.0.0.1:8001", "[fd00::2]:9001"], "ipv6:[::ffff:10.0.0.1]:8001,[fd00::2]:9001"),
    ],
)
def test_addresses_in_grpcs_notation(urls: list[str], expected: str) -> None:
    assert target(map(parse_address, urls)) == expected


def test_names_are_resolved_where_there_are_several() -> None:
    found = target(map(parse_address, ["localhost:8001", "127.0.0.1:8002"]))
    assert "127.0.0.1" in found
    assert ":8001" in found
    with pytest.raises(StartupError, match=r"^Triton at no-such-host\.invalid:1: \S"):
        target(map(parse_address, ["no-such-host.invalid:1", "127.0.0.1:8002"]))


def test_calls_are_spread_over_the_addresses() -> None:
    with answering() as first, answering() as second, member_of(first.address, second.address) as member:
        deadline_s = time.monotonic() + 60
        while not (first.calls and second.calls) and time.monotonic() < deadline_s:
            assert member.run(INPUTS).tolist() == DOUBLED
        seen = len(first.calls), len(second.calls)
        for _ in range(20):
            member.run(INPUTS)
        assert (len(first.calls) - seen[0], len(second.calls) - seen[1]) == (10, 10)


def test_a_dead_address_fails_no_call(silent_port: int) -> None:
    with answering() as server, member_of(f"127.0.0.1:{silent_port}", server.address) as member:
        for _ in range(50):
            assert member.run(INPUTS).tolist() == DOUBLED
        assert len(server.calls) == 50


def test_addresses_of_both_families() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with answering(host="[::1]") as new, answering() as old:
        if not new.port:
            pytest.skip("no IPv6 here")
        with member_of(f"[::1]:{new.port}", old.address) as member:
            deadline_s = time.monotonic() + 60
            while not (new.calls and old.calls) and time.monotonic() < deadline_s:
                assert member.run(INPUTS).tolist() == DOUBLED
            assert new.calls
            assert old.calls


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says of other connections."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:1")
    with answering() as server, member_of(server.address) as member:
        assert member.run(INPUTS).tolist() == DOUBLED


def test_it_connects_again_by_itself() -> None:
    with answering() as first, member_of(first.address) as member:
        assert member.run(INPUTS).tolist() == DOUBLED
        first.stop()
        with pytest.raises(MemberDown, match="is not available"):
            member.run(INPUTS)
        with answering(port=first.port) as second:
            assert outcome(member).tolist() == DOUBLED
            assert second.calls


def outcome(member: TritonMember) -> NDArray[np.floating]:
    """The first after it has connected."""
    deadline_s = time.monotonic() + 60
    while True:
        try:
            return member.run(INPUTS)
        except MemberDown:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)


def make_identity(folder: Path) -> Pair:
    """A certificate for `triton.test` that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make certificates with")
    made = Pair(folder / "certificate.pem", folder / "key.pem")
    names = ("-subj", "/CN=triton.test", "-addext", "subjectAltName=DNS:triton.test,DNS:localhost")
    openssl("req", "-x509", *EC, "-days", "2", *names, "-out", made.cert, "-keyout", made.key)
    return made


@pytest.fixture(scope="module")
def server_identity(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_identity(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def client_identity(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_identity(tmp_path_factory.mktemp("client"))


def credentials(identity: Pair, *demanded: Any, **others: Any) -> grpc.ServerCredentials:
    pair = identity.key.read_bytes(), identity.cert.read_bytes()
    return grpc.ssl_server_credentials([pair], *demanded, **others)


@pytest.fixture(scope="module")
def secure(server_identity: Pair) -> Iterator[Answering]:
    with answering(credentials=credentials(server_identity)) as running:
        yield running


def trusting(identity: Pair, **others: Any) -> TlsConfig:
    return TlsConfig(root_certificates=identity.cert, **others)


def test_tls_with_a_certificate_for_the_host(secure: Answering, server_identity: Pair) -> None:
    with member_of(f"localhost:{secure.port}", tls=trusting(server_identity)) as member:
        assert member.run(INPUTS).tolist() == DOUBLED


def test_tls_with_a_certificate_for_a_name_that_was_given(secure: Answering, server_identity: Pair) -> None:
    named = trusting(server_identity, server_name="triton.test")
    with member_of(secure.address, tls=named) as member:
        assert member.run(INPUTS).tolist() == DOUBLED
    with (
        answering(credentials=credentials(server_identity)) as other,
        member_of(secure.address, other.address, tls=named) as member,
    ):
        for _ in range(50):
            assert member.run(INPUTS).tolist() == DOUBLED


@pytest.mark.parametrize("case", ["another name", "another certificate", "no TLS"])
def test_a_server_that_is_not_who_it_should_be_is_down(
    case: str, secure: Answering, server_identity: Pair, client_identity: Pair
) -> None:
    tls = {
        "another name": trusting(server_identity, server_name="other.test"),
        "another certificate": trusting(client_identity, server_name="triton.test"),
        "no TLS": None,
    }[case]
    calls = len(secure.calls)
    with member_of(secure.address, tls=tls) as member, pytest.raises(MemberDown):
        member.run(INPUTS)
    assert len(secure.calls) == calls


def test_a_client_certificate_is_shown(server_identity: Pair, client_identity: Pair) -> None:
    demanding = credentials(server_identity, client_identity.cert.read_bytes(), require_client_auth=True)
    shown = {"certificate_chain": client_identity.cert, "private_key": client_identity.key}
    with answering(credentials=demanding) as server:
        address = f"localhost:{server.port}"
        with member_of(address, tls=trusting(server_identity, **shown)) as member:
            assert member.run(INPUTS).tolist() == DOUBLED
        with member_of(address, tls=trusting(server_identity)) as member, pytest.raises(MemberDown):
            member.run(INPUTS)


def test_files_that_cannot_be_used_are_named(
    server_identity: Pair, client_identity: Pair, tmp_path: Path
) -> None:
    (tmp_path / "garbage.pem").write_text("no certificate")
    (tmp_path / "binary.pem").write_bytes(b"\xff\x00")
    ours, key = client_identity.cert, client_identity.key
    for tls, text in [
        ({"root_certificates": tmp_path / "none.pem"}, r"none\.pem: No such file or directory$"),
        ({"root_certificates": tmp_path}, r": Is a directory$"),
        ({"root_certificates": tmp_path / "garbage.pem"}, r"garbage\.pem: holds no certificates in PEM"),
        ({"root_certificates": tmp_path / "binary.pem"}, r"binary\.pem: holds no certificates in PEM"),
        ({"certificate_chain": ours, "private_key": tmp_path / "none.pem"}, r"none\.pem: No such file"),
        ({"certificate_chain": ours, "private_key": server_identity.key}, r"no certificate with its key"),
        ({"certificate_chain": key, "private_key": key}, r"no certificate with its key"),
    ]:
        config = TritonConfig(urls=("localhost:8001",), tls=TlsConfig(**tls))
        with pytest.raises(StartupError, match=text):
            connect(config)


def test_an_encrypted_key_is_refused_and_asked_no_password_for(client_identity: Pair, tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted.pem"
    openssl("ec", "-aes256", "-passout", "pass:secret", "-in", client_identity.key, "-out", encrypted)
    tls = TlsConfig(certificate_chain=client_identity.cert, private_key=encrypted)
    with pytest.raises(StartupError, match=r"unencrypted$"):
        connect(TritonConfig(urls=("localhost:8001",), tls=tls))
