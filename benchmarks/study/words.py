"""Figures of the study as people read them. Records are estimates as JSON holds them: value, low, high."""

from collections.abc import Mapping
from typing import Any

from benchmarks.study.figures import FIGURES
from loadtest.report.wording import signed

Record = Mapping[str, Any]

BETTER, WORSE, SAME = "better", "worse", "same"
MACS, CPU = "macs", "cpu_ms"
"""Units of cost, in which a row is counted."""
UNITS = {MACS: "multiply-adds", CPU: "CPU time"}
SHORT = {MACS: "MACs", CPU: "CPU"}


def value(figure: str, record: Record) -> tuple[str, str]:
    """The value and its interval, which for a share ends at 0 and 100%."""
    if FIGURES[figure].is_share:
        low, high = (min(max(record[end], 0.0), 1.0) for end in ("low", "high"))
        return f"{record['value'] * 100:.1f}%", f"{low * 100:.1f}–{high * 100:.1f}"
    return f"{record['value']:.3f}", f"{record['low']:.3f}–{record['high']:.3f}"


def change(figure: str, record: Record) -> tuple[str, str]:
    """A difference and its interval, in points where the figure is a share."""
    scale, digits = (100, 1) if FIGURES[figure].is_share else (1, 3)
    low, high = (signed(record[end] * scale, digits) for end in ("low", "high"))
    return signed(record["value"] * scale, digits), f"{low} to {high}"


def verdict(figure: str, record: Record) -> str:
    """`better`, `worse`, or `same` where the interval holds zero, or neither way is better."""
    direction = FIGURES[figure].direction
    if direction == 0 or record["low"] <= 0 <= record["high"]:
        return SAME
    return BETTER if record["value"] * direction > 0 else WORSE


def in_points(figure: str, record: Record, *, unit: bool = True) -> str:
    """`+1.2 [+0.3 to +2.1] points`."""
    told, interval = change(figure, record)
    return f"{told} [{interval}]{' points' if unit and FIGURES[figure].is_share else ''}"


def times(ratio: float) -> str:
    return f"{ratio:.2f}×"


def percent(value: float) -> str:
    return f"{value:.0%}".replace("-", "−")


def part_of(record: Record | None) -> str:
    """A share with its interval, `74% [61 to 87]`; a dash where it makes no sense."""
    if record is None:
        return "–"
    low, high = (percent(record[end]).removesuffix("%") for end in ("low", "high"))
    return f"{percent(record['value'])} [{low} to {high}]"
