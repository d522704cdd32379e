"""Settings that cannot be meant are refused by name."""

import re
from pathlib import Path
from typing import Any

import pytest

from serving.errors import StartupError
from serving.triton.config import Address, TlsConfig, TritonConfig, parse_address

URL = "localhost:8001"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("localhost:8001", Address("localhost", 8001)),
        ("10.0.0.1:1", Address("10.0.0.1", 1)),
        ("[fd00::1]:65535", Address("fd00::1", 65535)),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    assert parse_address(url) == address
    assert str(address) == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost", ":8001", "localhost:", "localhost:0", "localhost:65536", "localhost:-1", "h:1x"),
        *("http://localhost:8001", "fd00::1:8001", "a b:8001", "a,b:8001", "h:²", "[]:1", "[localhost:1"),
    ],
)
def test_what_is_no_address(url: str) -> None:
    text = f"triton url is {url!r}; it must be HOST:PORT, with an IPv6 address in brackets"
    with pytest.raises(StartupError, match=f"^{re.escape(text)}$"):
        TritonConfig(urls=(url,))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"urls": ()}, "urls is (); it must be one address or more"),
        ({"urls": (URL, URL)}, f"urls is {(URL, URL)!r}; it must be different addresses"),
        ({"call_timeout_s": 0.0}, "call_timeout_s is 0.0; it must be positive, and finite"),
        ({"call_timeout_s": float("inf")}, "call_timeout_s is inf; it must be positive, and finite"),
        ({"ready_timeout_s": float("nan")}, "ready_timeout_s is nan; it must be positive, and finite"),
        (
            {"urls": (URL, "other:8001"), "use_shared_memory": True},
            "use_shared_memory is True; it must be off for several addresses",
        ),
        (
            {"urls": (URL, "other:8001"), "tls": TlsConfig()},
            "server_name is None; it must be given for several addresses with TLS",
        ),
    ],
)
def test_settings(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(StartupError, match=f"^{re.escape(text)}$"):
        TritonConfig(**{"urls": (URL,), **settings})


def test_a_certificate_and_its_key_come_together() -> None:
    for one in ("certificate_chain", "private_key"):
        with pytest.raises(StartupError, match="it must be given together with certificate_chain"):
            TlsConfig(**{one: Path("file.pem")})
