"""What a load test is asked to do. Each part checks itself and names the argument and its value."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from cascade.cascade_file import NAME
from loadtest.errors import ConfigError
from loadtest.wire.targets import Target

ARRIVALS = ("poisson", "constant")
# A load test must end, and must not eat the machine that it runs on.
MAX_REQUESTS = 1_000_000
MAX_SECONDS = 3600.0
MAX_ROWS_PER_REQUEST = 4096
MAX_IN_FLIGHT = 10_000


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """The open loop. `rate` is in requests per second; a request is given up `timeout_s` after its
    intended send."""

    rate: float = 200.0
    duration_s: float = 30.0
    rows_per_request: int = 1
    arrivals: str = "poisson"
    seed: int = 0
    max_in_flight: int = 256
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        _expect_within("--rate", self.rate, MAX_REQUESTS)
        _expect_within("--duration", self.duration_s, MAX_SECONDS)
        _expect_within("--timeout", self.timeout_s, MAX_SECONDS)
        _expect_whole("--rows-per-request", self.rows_per_request, MAX_ROWS_PER_REQUEST)
        _expect_whole("--max-in-flight", self.max_in_flight, MAX_IN_FLIGHT)
        if self.arrivals not in ARRIVALS:
            raise ConfigError(f"--arrivals {self.arrivals!r} is neither of {', '.join(ARRIVALS)}")
        if self.seed < 0:
            raise ConfigError(f"--seed {self.seed} is negative")
        if not 1 <= self.rate * self.duration_s <= MAX_REQUESTS:
            raise ConfigError(
                f"--rate {self.rate:g} for --duration {self.duration_s:g} makes "
                f"{self.rate * self.duration_s:g} requests; 1 to {MAX_REQUESTS} are allowed"
            )


@dataclass(frozen=True, kw_only=True)
class CapacityConfig:
    """The closed loop that saturates the server. With no seconds it is left out."""

    seconds: float = 3.0
    in_flight: int = 16
    rows_per_request: int = 8

    def __post_init__(self) -> None:
        if self.seconds != 0:
            _expect_within("--capacity-seconds", self.seconds, MAX_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Config:
    """One invocation. No `policies` means all that the cascade has."""

    targets: tuple[Target, ...]
    model: str
    policies: tuple[str, ...] = ()
    samples: Path
    ood: Path | None = None
    load: LoadConfig = field(default_factory=LoadConfig)
    capacity: CapacityConfig = field(default_factory=CapacityConfig)
    out: Path
    overwrite: bool = False

    def __post_init__(self) -> None:
        protocols = [target.protocol for target in self.targets]
        if not protocols:
            raise ConfigError("no URL is given")
        for protocol in protocols:
            if protocols.count(protocol) > 1:
                raise ConfigError(f"two URLs speak {protocol}; give one for each protocol")
        if not NAME.fullmatch(self.model):
            raise ConfigError(f"--model {self.model[:80]!r} is no name of a model")
        if "" in self.policies or len(set(self.policies)) != len(self.policies):
            raise ConfigError(f"--policies {','.join(self.policies)!r}: a name is empty or stands twice")


def _expect_within(name: str, value: float, largest: float) -> None:
    if not (math.isfinite(value) and 0 < value <= largest):
        raise ConfigError(f"{name} {value:g} is not above 0 and at most {largest:g}")


def _expect_whole(name: str, value: int, largest: int) -> None:
    if not 1 <= value <= largest:
        raise ConfigError(f"{name} {value} is not within 1 to {largest}")
