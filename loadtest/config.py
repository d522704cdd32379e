"""What a load test is asked to do. Each part checks itself and names the argument and its value."""

from dataclasses import dataclass, field
from pathlib import Path

from cascade.cascade_file import NAME
from loadtest.bounds import (
    MAX_IN_FLIGHT,
    MAX_PROCESSES,
    MAX_ROWS_PER_REQUEST,
    MAX_SECONDS,
    expect_whole,
    expect_within,
)
from loadtest.errors import ConfigError
from loadtest.traffic.load import LoadConfig
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import Target

# Names no policy: the server's own choice, and its gears, hold.
AS_SERVED = "@server"


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
        if self.wire.is_json and all(target.protocol == "grpc" for target in self.targets):
            raise ConfigError("--json is for HTTP, and no URL speaks it")
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
        least = min(self.capacity.in_flight, self.load.max_in_flight)
        if self.generation.processes > least:
            raise ConfigError(f"--processes {self.generation.processes} is more than the {least} in flight")
        check_dialled(self.subject, is_dialled=self.load.is_dialled)


def check_dialled(subject: Subject, *, is_dialled: bool) -> None:
    if subject.calibration is not None and not is_dialled:
        raise ConfigError("--calibration ranks difficulty, which nothing here asks for")
