"""What load is asked for: rates, arrivals, sizes, difficulty. It checks itself and names argument and
value."""

from dataclasses import dataclass, field
from pathlib import Path

from loadtest.bounds import (
    MAX_BURSTINESS,
    MAX_IN_FLIGHT,
    MAX_REQUESTS,
    MAX_ROWS_PER_REQUEST,
    MAX_SECONDS,
    expect_whole,
    expect_within,
)
from loadtest.errors import ConfigError
from loadtest.traffic.difficulty import HardBursts
from loadtest.traffic.rate import RateProfile, constant_rate

ARRIVALS = ("poisson", "constant", "gamma")


@dataclass(frozen=True, kw_only=True)
class RowsPerRequest:
    """Drawn evenly from `least` to `most`."""

    least: int = 1
    most: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= MAX_ROWS_PER_REQUEST:
            raise ConfigError(
                f"--rows-per-request {self} is not within 1 to {MAX_ROWS_PER_REQUEST}, in order"
            )

    def __str__(self) -> str:
        return f"{self.least}" if self.least == self.most else f"{self.least}-{self.most}"

    @property
    def mean(self) -> float:
        return (self.least + self.most) / 2


def parse_rows_per_request(text: str) -> RowsPerRequest:
    """`8`, or `1-16`."""
    least, found, most = text.partition("-")
    try:
        return RowsPerRequest(least=int(least), most=int(most if found else least))
    except ValueError:
        raise ConfigError(f"--rows-per-request {text!r} is neither a number nor a range like 1-16") from None


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """The open loop. `rate` is in requests per second; with a `trace` neither it nor `arrivals` counts, and
    `duration_s` cuts it. A request is given up `timeout_s` after its intended send; `deadline_ms` is told
    the server. `hard_share` None is as the samples are. `block_s` is the length of the time blocks in which
    contenders take turns."""

    rate: RateProfile = field(default_factory=lambda: constant_rate(200.0))
    duration_s: float = 30.0
    rows_per_request: RowsPerRequest = field(default_factory=RowsPerRequest)
    arrivals: str = "poisson"
    burstiness: float = 3.0
    trace: Path | None = None
    hard_share: float | None = None
    hard_bursts: HardBursts | None = None
    block_s: float = 5.0
    seed: int = 0
    max_in_flight: int = 256
    timeout_s: float = 10.0
    deadline_ms: float | None = None

    def __post_init__(self) -> None:
        expect_within("--duration", self.duration_s, MAX_SECONDS)
        expect_within("--timeout", self.timeout_s, MAX_SECONDS)
        expect_within("--block-seconds", self.block_s, MAX_SECONDS)
        expect_within("--burstiness", self.burstiness, MAX_BURSTINESS)
        expect_whole("--max-in-flight", self.max_in_flight, MAX_IN_FLIGHT)
        if self.arrivals not in ARRIVALS:
            raise ConfigError(f"--arrivals {self.arrivals!r} is neither of {', '.join(ARRIVALS)}")
        if self.seed < 0:
            raise ConfigError(f"--seed {self.seed} is negative")
        if self.deadline_ms is not None:
            expect_within("--deadline", self.deadline_ms, MAX_SECONDS * 1e3)
        if self.hard_share is not None and not 0 <= self.hard_share <= 1:
            raise ConfigError(f"--hard-share {self.hard_share:g} is not within 0 to 1")
        number = self.rate.mean * self.duration_s
        if self.trace is None and not 1 <= round(number) <= MAX_REQUESTS:
            raise ConfigError(
                f"--rate {self.rate.text} for --duration {self.duration_s:g} makes {number:g} requests; "
                f"1 to {MAX_REQUESTS} are allowed"
            )

    @property
    def is_dialled(self) -> bool:
        """Whether the traffic is to be harder or easier than the samples."""
        return self.hard_share is not None or self.hard_bursts is not None

    @property
    def deadline_us(self) -> int | None:
        return None if self.deadline_ms is None else round(self.deadline_ms * 1e3)
