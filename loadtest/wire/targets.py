"""Where load goes: a protocol, a host and a port."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from loadtest.errors import ConfigError

SCHEMES = {"http": ("http", False), "https": ("http", True), "grpc": ("grpc", False), "grpcs": ("grpc", True)}


@dataclass(frozen=True, kw_only=True)
class Target:
    """`protocol` is http or grpc."""

    protocol: str
    host: str
    port: int
    is_tls: bool = False

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.protocol}{'s' if self.is_tls else ''}://{self.authority}"


def parse_target(url: str, *, allow_remote: bool = False) -> Target:
    """`http://HOST:PORT` or `grpc://HOST:PORT`, with an s after the protocol for TLS. A load test aimed
    elsewhere by a slip of the hand is an attack, so hosts other than loopback must be allowed on purpose."""
    if "@" in url:
        raise ConfigError("a URL with a name or a password in it: give it without, and --token-file")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"URL {url!r}: {error}") from None
    if "://" not in url:
        raise ConfigError(f"{url!r} is neither a URL nor one of the commands search, sweep and plan")
    if parts.scheme not in SCHEMES:
        raise ConfigError(f"URL {url!r} begins with none of {', '.join(f'{name}://' for name in SCHEMES)}")
    if not parts.hostname or not port:
        raise ConfigError(f"URL {url!r} needs a host and a port, as in {parts.scheme}://127.0.0.1:8000")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"URL {url!r} must hold a host and a port alone")
    if not (allow_remote or _is_loopback(parts.hostname)):
        raise ConfigError(f"URL {url!r} is not on this machine; --allow-remote allows it")
    protocol, is_tls = SCHEMES[parts.scheme]
    return Target(protocol=protocol, host=parts.hostname, port=port, is_tls=is_tls)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
