import pytest

from loadtest.errors import ConfigError
from loadtest.wire.targets import Target, parse_target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://127.0.0.1:8000", Target(protocol="http", host="127.0.0.1", port=8000)),
        ("grpc://localhost:8001/", Target(protocol="grpc", host="localhost", port=8001)),
        ("https://127.0.0.1:8000", Target(protocol="http", host="127.0.0.1", port=8000, is_tls=True)),
        ("grpcs://127.0.0.1:8001", Target(protocol="grpc", host="127.0.0.1", port=8001, is_tls=True)),
        ("http://[::1]:8000", Target(protocol="http", host="::1", port=8000)),
    ],
)
def test_loopback_is_allowed(url: str, target: Target) -> None:
    assert parse_target(url) == target


def test_ipv6_keeps_its_brackets() -> None:
    assert parse_target("grpc://[::1]:8001").authority == "[::1]:8001"


@pytest.mark.parametrize("url", ["http://h:1", "https://h:1", "grpc://h:1", "grpcs://[::2]:1"])
def test_a_target_is_named_as_it_was_given(url: str) -> None:
    assert parse_target(url, allow_remote=True).url == url


def test_remote_must_be_allowed() -> None:
    with pytest.raises(ConfigError, match=r"http://example\.org:80' is not on this machine"):
        parse_target("http://example.org:80")
    assert parse_target("http://example.org:80", allow_remote=True).host == "example.org"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8000", "is neither a URL nor one of the commands search, sweep and plan"),
        ("ftp://127.0.0.1:8000", "begins with none of"),
        ("http://127.0.0.1", "needs a host and a port"),
        ("http://:8000", "needs a host and a port"),
        ("http://127.0.0.1:70000", "70000|out of range"),
        ("http://127.0.0.1:8000/v2", "a host and a port alone"),
        ("http://me@127.0.0.1:8000", "a name or a password in it"),
        ("http://127.0.0.1.example.org:8000", "not on this machine"),
        ("https://example.org:443", "not on this machine"),
        ("grpcs://example.org:443", "not on this machine"),
    ],
)
def test_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_target(url)
