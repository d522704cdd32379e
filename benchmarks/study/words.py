"""Figures of the study as people read them. Records are estimates as JSON holds them: value, low, high."""

from collections.abc import Mapping
from typing import Any

from loadtest.report.wording import signed

Record = Mapping[str, Any]

PERCENTAGES = ("coverage", "risk", "accuracy", "auroc", "fpr", "disagreement", "member accuracy", "window")
"""What figures begin with that are shares, told in percent; the others are told as they are."""
HIGHER_IS_BETTER = ("coverage", "accuracy", "auroc", "member accuracy", "window", "disagreement")


def is_share(figure: str) -> bool:
    return figure.startswith(PERCENTAGES)


def is_higher_better(figure: str) -> bool:
    return figure.startswith(HIGHER_IS_BETTER)


def value(figure: str, record: Record) -> tuple[str, str]:
    """The value and its interval."""
    if is_share(figure):
        return f"{record['value'] * 100:.1f}%", f"{record['low'] * 100:.1f}–{record['high'] * 100:.1f}"
    return f"{record['value']:.3f}", f"{record['low']:.3f}–{record['high']:.3f}"


def change(figure: str, record: Record) -> tuple[str, str]:
    """A difference and its interval, in points where the figure is a share."""
    scale, digits = (100, 1) if is_share(figure) else (1, 3)
    low, high = (signed(record[end] * scale, digits) for end in ("low", "high"))
    return signed(record["value"] * scale, digits), f"{low} to {high}"


def verdict(figure: str, record: Record) -> str:
    """`better`, `worse`, or `same` where the interval holds zero."""
    if record["low"] <= 0 <= record["high"]:
        return "same"
    return "better" if (record["value"] > 0) == is_higher_better(figure) else "worse"


def in_points(figure: str, record: Record, *, unit: bool = True) -> str:
    """`+1.2 [+0.3 to +2.1] points`."""
    told, interval = change(figure, record)
    return f"{told} [{interval}]{' points' if unit and is_share(figure) else ''}"


def times(ratio: float) -> str:
    return f"{ratio:.2f}×"
