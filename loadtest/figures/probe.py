"""One short load at one rate and difficulty, and whether it went well. Pure."""

from dataclasses import dataclass

from loadtest.case import Case
from loadtest.figures.statistics import LoadFigures
from loadtest.figures.under_load import UnderLoad


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a rate must allow: a percentile of the latency within `latency_ms`, and at least a `share` of the
    rows that the contender answers right without load answered right, within `latency_ms` and not
    degraded."""

    percentile: str = "p99"
    latency_ms: float = 50.0
    share: float = 0.99

    def __str__(self) -> str:
        return f"{self.percentile} within {self.latency_ms:g} ms and {self.share:.1%} of the rows kept"

    def missed(self, load: LoadFigures, under: UnderLoad) -> str:
        """What was not reached; empty where all was."""
        latency_ms = getattr(load.latency, f"{self.percentile}_ms")
        if latency_ms > self.latency_ms:
            return f"{self.percentile} is {latency_ms:.1f} ms"
        if under.kept < self.share:
            return f"{under.kept:.2%} of the rows are kept"
        return ""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """`rate` in requests a second; `phase` is why it was sent; `missed` what of the goal was not reached,
    empty where all was. One that does not count was spoilt by the generator, and sent again."""

    case: Case
    rate: float
    hard_share: float | None
    phase: str
    load: LoadFigures
    under_load: UnderLoad
    missed: str
    counts: bool = True

    @property
    def is_good(self) -> bool:
        return not self.missed

    @property
    def is_valid(self) -> bool:
        return self.load.generator.is_valid


@dataclass(frozen=True, kw_only=True)
class Found:
    """`rate` is the highest that held in every confirming run, None where even the lowest tried did not;
    `failed_rate` the lowest that did not hold, None where the search ended at its limit."""

    case: Case
    probes: tuple[Probe, ...]
    rate: float | None
    failed_rate: float | None

    @property
    def failed_by_generator(self) -> bool:
        """Whether of the rate that failed nothing is known but that the generator lagged."""
        counted = [probe for probe in self.probes if probe.counts and probe.rate == self.failed_rate]
        return bool(counted) and not any(probe.is_valid for probe in counted)

    @property
    def is_generator_limited(self) -> bool:
        """Whether a rate was given up because the generator could not make it."""
        return any(probe.counts and not probe.is_valid for probe in self.probes)


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Every case at every rate and hard share, in turns."""

    rates: tuple[float, ...]
    hard_shares: tuple[float | None, ...]
    probes: tuple[Probe, ...]

    def of(self, case: Case, hard_share: float | None) -> list[Probe]:
        """In the order of their rates."""
        found = [p for p in self.probes if p.case.name == case.name and p.hard_share == hard_share]
        return sorted(found, key=lambda probe: probe.rate)

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple({probe.case.name: probe.case for probe in self.probes}.values())
