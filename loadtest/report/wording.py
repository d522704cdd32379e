"""Figures as people read them."""

import math

from cascade.intervals import Estimate
from loadtest.figures.results import CaseResult

NONE = "–"
NO_ANSWER = "no answer"
# Marks figures that the generator itself may limit.
LIMITED = "*"


def percent(value: float, digits: int = 1) -> str:
    return NONE if math.isnan(value) else f"{value * 100:.{digits}f}%"


def estimate(share: Estimate) -> str:
    """`94.2% [92.1, 95.8]`."""
    if not share.is_known:
        return NONE
    return f"{percent(share.value)} [{share.low * 100:.1f}, {share.high * 100:.1f}]"


def exits(shares: tuple[float, ...]) -> str:
    return " / ".join(f"{share * 100:.1f}" for share in shares)


def count(value: float) -> str:
    """`1,234`, and `1.23 M` from a million on."""
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value:,.0f}"


def milliseconds(value: float) -> str:
    if math.isinf(value):
        return NO_ANSWER
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def multiple(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}×"


def signed(value: float, digits: int = 1) -> str:
    """With the sign that typesetters use."""
    return f"{value:+.{digits}f}".replace("-", "−")


def per_second(value: float) -> str:
    return count(value) if value >= 100 else f"{value:.1f}"


def capacity(case: CaseResult) -> str:
    """Rows per second at saturation, marked where the generator may be what is saturated."""
    if case.capacity is None:
        return NONE
    return count(case.capacity.rows_per_s) + (LIMITED if case.capacity.is_generator_limited else "")


def tail(case: CaseResult) -> str:
    """p99 in milliseconds, marked where the generator may be the cause."""
    return milliseconds(case.load.latency.p99_ms) + ("" if case.load.generator.is_valid else LIMITED)


def listed(names: list[str] | tuple[str, ...]) -> str:
    """`a, b and c`."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
