"""TLS in both protocols with real certificates, and what is said of those that are no good."""

import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from geventhttpclient.response import HTTPConnectionClosed
from tritonclient.utils import InferenceServerException

from serving.__main__ import main
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.serving.certificates import Pair, issue, make_authority, openssl
from tests.serving.raw_http import answer, connection, head

TOKEN = "a-token-for-these-tests"
CLOSED = (InferenceServerException, OSError, HTTPConnectionClosed)
"""What the clients make of a handshake that came to nothing."""
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


@dataclass(frozen=True)
class Certificates:
    """`stranger` is signed by an authority that the server does not know."""

    folder: Path
    authority: Pair
    server: Pair
    client: Pair
    stranger: Pair

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.server.cert), "--tls-key", str(self.server.key))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = make_authority(folder, "authority"), make_authority(folder, "other")
    return Certificates(
        folder,
        authority,
        issue(authority, folder, "server"),
        issue(authority, folder, "client"),
        issue(other, folder, "stranger"),
    )


@pytest.fixture(scope="module")
def server(repository: Repository, certificates: Certificates) -> Iterator[Server]:
    with serving(repository.path, *certificates.flags) as running:
        yield running


@pytest.fixture(scope="module")
def mutual(repository: Repository, certificates: Certificates) -> Iterator[Server]:
    """Wants a certificate and a token."""
    file = certificates.folder / "tokens"
    file.touch(0o600)
    file.write_text(TOKEN)
    flags = ("--tls-client-ca", str(certificates.authority.cert), "--token-file", str(file))
    with serving(repository.path, *certificates.flags, *flags) as running:
        yield running


def context(certificates: Certificates, pair: Pair | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=certificates.authority.cert)
    if pair is not None:
        made.load_cert_chain(pair.cert, pair.key)
    return made


def over_http(server: Server, certificates: Certificates, pair: Pair | None = None) -> Any:
    made = context(certificates, pair)
    return triton_http.InferenceServerClient(server.http, ssl=True, ssl_context_factory=lambda: made)


def over_grpc(server: Server, certificates: Certificates, pair: Pair | None = None) -> Any:
    return triton_grpc.InferenceServerClient(
        server.grpc,
        ssl=True,
        root_certificates=str(certificates.authority.cert),
        certificate_chain=None if pair is None else str(pair.cert),
        private_key=None if pair is None else str(pair.key),
    )


PROTOCOLS = [
    pytest.param(triton_http, over_http, id="http"),
    pytest.param(triton_grpc, over_grpc, id="grpc"),
]


def bearer() -> dict[str, str]:
    """A new one each time: tritonclient adds headers of its own to what it is given."""
    return {"authorization": f"Bearer {TOKEN}"}


def labels(module: Any, client: Any, repository: Repository, **named: Any) -> Any:
    image = np.concatenate([repository.test.image] * 5)[:2048]
    tensor = module.InferInput("image", list(image.shape), "UINT8").set_data_from_numpy(image)
    return client.infer("digits", [tensor], parameters={"policy": "first"}, **named).as_numpy("label")


def expected(repository: Repository) -> Any:
    return np.concatenate([repository.scores.outputs[0].argmax(axis=1)] * 5)[:2048]


@pytest.mark.parametrize(("module", "connect"), PROTOCOLS)
def test_many_rows_come_through(
    module: Any, connect: Any, server: Server, certificates: Certificates, repository: Repository
) -> None:
    with connect(server, certificates) as client:
        assert client.is_server_live()
        np.testing.assert_array_equal(labels(module, client, repository), expected(repository))


@pytest.mark.parametrize("module", [triton_http, triton_grpc])
def test_nothing_is_answered_without_tls(module: Any, server: Server) -> None:
    address = server.http if module is triton_http else server.grpc
    with module.InferenceServerClient(address) as client, pytest.raises(CLOSED):
        client.get_server_metadata()


def test_a_connection_has_its_limits_over_tls_too(server: Server, certificates: Certificates) -> None:
    with (
        connection(server.http) as plain,
        context(certificates).wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        assert wrapped.version() in ("TLSv1.2", "TLSv1.3")
        wrapped.sendall(head("X-Long: " + "x" * 70_000))
        status, _, content = answer(wrapped)
    assert status == 431
    assert b"a request's head may have at most" in content


def test_an_idle_client_does_not_hold_the_end_up(repository: Repository, certificates: Certificates) -> None:
    """It says no farewell, since it reads nothing."""
    with (
        serving(repository.path, *certificates.flags, "--grace", "4") as server,
        connection(server.http) as plain,
        context(certificates).wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        wrapped.sendall(head(path="/v2/health/live", method="GET"))
        assert answer(wrapped)[0] == 200
        assert server.terminate() == 0
    log = "".join(server.output)
    assert "stopped" in log
    assert "had no answer" not in log


@pytest.mark.parametrize(("module", "connect"), PROTOCOLS)
def test_a_known_certificate_and_a_token_are_let_in(
    module: Any, connect: Any, mutual: Server, certificates: Certificates, repository: Repository
) -> None:
    with connect(mutual, certificates, certificates.client) as client:
        assert client.is_server_ready()
        given = labels(module, client, repository, headers=bearer())
        np.testing.assert_array_equal(given, expected(repository))
        with pytest.raises(InferenceServerException) as caught:
            labels(module, client, repository)
        assert caught.value.status() in ("401", "StatusCode.UNAUTHENTICATED")


@pytest.mark.parametrize("whose", ["nobody", "stranger"])
@pytest.mark.parametrize(("module", "connect"), PROTOCOLS)
def test_no_other_certificate_is_even_told_of_health(
    whose: str, module: Any, connect: Any, mutual: Server, certificates: Certificates
) -> None:
    pair = certificates.stranger if whose == "stranger" else None
    for ask in ("get_server_metadata", "is_server_live"):
        with connect(mutual, certificates, pair) as client, pytest.raises(CLOSED) as caught:
            getattr(client, ask)(headers=bearer())
        if isinstance(caught.value, InferenceServerException):
            assert caught.value.status() == "StatusCode.UNAVAILABLE"


@pytest.fixture
def spoilt(certificates: Certificates, tmp_path: Path) -> Path:
    (tmp_path / "text").write_text("no certificate")
    shutil.copy(certificates.server.cert, tmp_path / "cert")
    shutil.copy(certificates.server.key, tmp_path / "key")
    shutil.copy(certificates.stranger.key, tmp_path / "other-key")
    openssl("ec", "-in", tmp_path / "key", "-aes128", "-passout", "pass:x", "-out", tmp_path / "locked")
    cut = (tmp_path / "cert").read_text().splitlines()
    (tmp_path / "cut").write_text("\n".join([*cut[:3], *cut[5:]]))
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"cert": "nowhere", "key": "key"}, "--tls-cert {}/nowhere: No such file or directory"),
        ({"cert": "", "key": "key"}, "--tls-cert {}: Is a directory"),
        ({"cert": "text", "key": "key"}, "--tls-cert {}/text holds no certificate in PEM"),
        ({"cert": "cut", "key": "key"}, "--tls-cert {}/cut holds no certificate in PEM"),
        ({"cert": "cert", "key": "nowhere"}, "--tls-key {}/nowhere: No such file or directory"),
        ({"cert": "cert", "key": "text"}, "--tls-key {0}/text with --tls-cert {0}/cert: no key in PEM"),
        (
            {"cert": "cert", "key": "other-key"},
            "--tls-key {0}/other-key is not the key of --tls-cert {0}/cert",
        ),
        ({"cert": "cert", "key": "locked"}, "--tls-key {}/locked is encrypted; give it without a password"),
        (
            {"cert": "cert", "key": "key", "client-ca": "text"},
            "--tls-client-ca {}/text holds no certificate in PEM",
        ),
        (
            {"cert": "cert", "key": "key", "client-ca": "nowhere"},
            "--tls-client-ca {}/nowhere: No such file or directory",
        ),
        ({"cert": "cert"}, "--tls-cert is '{}/cert'; it must be given together with --tls-key"),
        ({"key": "key"}, "--tls-key is '{}/key'; it must be given together with --tls-cert"),
        ({"client-ca": "cert"}, "--tls-client-ca is '{}/cert'; it must be given with --tls-cert"),
    ],
)
def test_what_is_no_good_is_named(
    flags: dict[str, str],
    message: str,
    spoilt: Path,
    repository: Repository,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [part for name, file in flags.items() for part in (f"--tls-{name}", str(spoilt / file))]
    assert main([str(repository.path), *given]) == 2
    assert f"error: {message.format(spoilt)}\n" in capsys.readouterr().err
