"""What a load test is asked to do. Each part checks itself and names the argument and its value."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from cascade.cascade_file import NAME
from loadtest.errors import ConfigError
from loadtest.traffic.difficulty import HardBursts
from loadtest.traffic.rate import RateProfile, constant_rate
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import Target

ARRIVALS = ("poisson", "constant", "gamma")
# A load test must end, and must not eat the machine that it runs on.
MAX_REQUESTS = 1_000_000
MAX_SECONDS = 3600.0
MAX_ROWS_PER_REQUEST = 4096
MAX_IN_FLIGHT = 10_000
MAX_PROCESSES = 64
MAX_BURSTINESS = 20.0
# Names no policy: the server's own choice, and its gears, hold.
AS_SERVED = "@server"


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


@dataclass(frozen=True, kw_only=True)
class CapacityConfig:
    """The closed loop that saturates the server. With no seconds it is left out."""

    seconds: float = 3.0
    in_flight: int = 16
    rows_per_request: int = 8

    def __post_init__(self) -> None:
        expect_whole("--in-flight", self.in_flight, MAX_IN_FLIGHT)
        expect_whole("--capacity-rows", self.rows_per_request, MAX_ROWS_PER_REQUEST)
        if self.seconds != 0:
            expect_within("--capacity-seconds", self.seconds, MAX_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is tested: every model and policy at every target. No `policies` means all that a cascade has.
    `calibration` is a scores file, by whose rows difficulty is ranked."""

    targets: tuple[Target, ...]
    models: tuple[str, ...]
    policies: tuple[str, ...] = ()
    samples: Path
    ood: Path | None = None
    calibration: Path | None = None
    wire: WireOptions = field(default_factory=WireOptions)

    def __post_init__(self) -> None:
        if not self.targets:
            raise ConfigError("no URL is given")
        for target in self.targets:
            if self.targets.count(target) > 1:
                raise ConfigError(f"{target.url} is given twice")
        for model in self.models:
            if not NAME.fullmatch(model):
                raise ConfigError(f"--model {model[:80]!r} is no name of a model")
        if not self.models or len(set(self.models)) != len(self.models):
            raise ConfigError(f"--model {','.join(self.models)!r}: none is named, or one twice")
        if "" in self.policies or len(set(self.policies)) != len(self.policies):
            raise ConfigError(f"--policies {','.join(self.policies)!r}: a name is empty or stands twice")


@dataclass(frozen=True, kw_only=True)
class Generation:
    """How load is made: by this process alone, or by several beside it."""

    processes: int = 1

    def __post_init__(self) -> None:
        expect_whole("--processes", self.processes, MAX_PROCESSES)


@dataclass(frozen=True, kw_only=True)
class Config:
    """One comparison of contenders. `baseline` names the one that others are compared with, `asserted` those
    of whom something is asserted; `objective_ms` is the latency within which an answer counts as good."""

    subject: Subject
    load: LoadConfig = field(default_factory=LoadConfig)
    capacity: CapacityConfig = field(default_factory=CapacityConfig)
    generation: Generation = field(default_factory=Generation)
    baseline: str | None = None
    asserted: tuple[str, ...] = ()
    objective_ms: float | None = None

    def __post_init__(self) -> None:
        if self.objective_ms is not None:
            expect_within("--objective", self.objective_ms, MAX_SECONDS * 1e3)


def expect_within(name: str, value: float, largest: float) -> None:
    if not (math.isfinite(value) and 0 < value <= largest):
        raise ConfigError(f"{name} {value:g} is not above 0 and at most {largest:g}")


def expect_whole(name: str, value: int, largest: int) -> None:
    if not 1 <= value <= largest:
        raise ConfigError(f"{name} {value} is not within 1 to {largest}")
