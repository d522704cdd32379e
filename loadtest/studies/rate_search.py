"""Which rate to try next, on the way to the highest that holds. Pure: told what came of each try.

Doubling (or halving) until one rate holds and one does not; bisection of their ratio until they lie within
the precision; then the rate must hold again, in confirming runs. One that does not is given up for the
next lower.
"""

from dataclasses import dataclass
from math import sqrt

MAX_TRIES = 60


@dataclass(frozen=True, kw_only=True)
class SearchLimits:
    """Rates in requests a second. `precision` is the ratio, less 1, at which the search ends."""

    start: float = 50.0
    least: float = 1.0
    most: float = 10_000.0
    precision: float = 0.05
    confirmations: int = 3


class RateSearch:
    """`try_next` names a rate and the phase, or None at the end; then `tell` whether it held."""

    def __init__(self, limits: SearchLimits) -> None:
        self._limits = limits
        self._rate = min(max(limits.start, limits.least), limits.most)
        self._confirmed = 0
        self._tries = 0
        self.held: float | None = None
        self.failed: float | None = None
        self._phase = "doubling"

    @property
    def found(self) -> float | None:
        """The highest rate that held, confirmed; None before the end, and where none did."""
        return self.held if self._confirmed >= self._limits.confirmations else None

    def try_next(self) -> tuple[float, str] | None:
        if self._tries >= MAX_TRIES or self._phase == "done":
            return None
        self._tries += 1
        return self._rate, self._phase

    def tell(self, *, holds: bool) -> None:
        if self._phase == "confirmation":
            self._confirm(holds=holds)
            return
        if holds:
            self.held = self._rate
        else:
            self.failed = self._rate
        self._move()

    def _move(self) -> None:
        limits = self._limits
        if self.held is None:
            self._phase = "doubling" if self._rate > limits.least else "done"
            self._rate = max(self._rate / 2, limits.least)
        elif self.failed is None and self._rate < limits.most:
            self._rate = min(self._rate * 2, limits.most)
        elif self.failed is not None and self.failed / self.held > 1 + limits.precision:
            self._rate, self._phase = sqrt(self.held * self.failed), "bisection"
        else:
            self._begin_confirming(self.held)

    def _begin_confirming(self, rate: float) -> None:
        self.held, self._rate, self._confirmed = rate, rate, 0
        self._phase = "confirmation" if self._limits.confirmations else "done"

    def _confirm(self, *, holds: bool) -> None:
        if holds:
            self._confirmed += 1
            if self._confirmed >= self._limits.confirmations:
                self._phase = "done"
            return
        self.failed = self._rate
        lower = self._rate / (1 + self._limits.precision)
        if lower < self._limits.least:
            self.held, self._phase = None, "done"
        else:
            self._begin_confirming(lower)
