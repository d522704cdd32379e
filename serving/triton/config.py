"""Settings of members that run in Triton. Each checks itself and names field and value."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from serving.config import require
from serving.errors import StartupError

URL = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[\w.-]+)):(?P<port>[0-9]{1,5})", re.ASCII)


@dataclass(frozen=True)
class Address:
    """Where a Triton answers gRPC. IPv6 addresses are without their brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(url: str) -> Address:
    found = URL.fullmatch(url)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise StartupError(f"triton url is {url!r}; it must be HOST:PORT, with an IPv6 address in brackets")
    return Address(found["ipv6"] or found["host"], int(found["port"]))


@dataclass(frozen=True, kw_only=True)
class TlsConfig:
    """Files in PEM format. Without `root_certificates` those that gRPC knows are trusted; `server_name` is
    what certificates must be for, where that is not the host of the only address."""

    root_certificates: Path | None = None
    certificate_chain: Path | None = None
    private_key: Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        given = (self.certificate_chain is None) == (self.private_key is None)
        require(given, "private_key", self.private_key, "given together with certificate_chain")


@dataclass(frozen=True, kw_only=True)
class TritonConfig:
    """Where Triton answers gRPC (HOST:PORT, several of them the same models), and how long it is waited for.

    A call is given up after `call_timeout_s`, or when nobody waits for it any more. `ready_timeout_s` is for
    the server to come up, and each time for a member to load. With `use_shared_memory` large tensors go
    through that of this machine, where Triton runs too. One that `is_ours` is told to load what it lacks.
    """

    urls: tuple[str, ...]
    call_timeout_s: float = 10.0
    ready_timeout_s: float = 60.0
    tls: TlsConfig | None = None
    use_shared_memory: bool = False
    is_ours: bool = False

    def __post_init__(self) -> None:
        require(len(self.urls) > 0, "urls", self.urls, "one address or more")
        require(len(set(self.addresses)) == len(self.urls), "urls", self.urls, "different addresses")
        for name in ("call_timeout_s", "ready_timeout_s"):
            value = getattr(self, name)
            require(0 < value < math.inf, name, value, "positive, and finite")
        shares = self.use_shared_memory
        require(not shares or len(self.urls) == 1, "use_shared_memory", shares, "off for several addresses")
        if self.tls is not None and len(self.urls) > 1:
            given = self.tls.server_name
            require(given is not None, "server_name", given, "given for several addresses with TLS")

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(map(parse_address, self.urls))


@dataclass(frozen=True, kw_only=True)
class BundledConfig:
    """The Triton that this server starts itself, over the models of a `repository`.

    Its output goes to the end of the file `log`; without one, the last of it comes into the server's log when
    it dies. `arguments` are added to its own.
    """

    repository: Path
    log: Path | None = None
    arguments: tuple[str, ...] = ()
