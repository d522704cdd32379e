"""Thresholds whose risk exceeds the target with probability at most delta, on rows like those given.

Fixed-sequence testing (Angelopoulos et al. 2021, Learn then Test, section 2): thresholds from strict to
lax are tested in turn, each at level delta, and the last one before the first failure is kept. That the
sequence and its start come from other rows than the tests do is what makes it valid. Each test is exact:
among m accepted rows at a risk above the target, k errors or fewer are less likely than
P(Binomial(m, target) <= k) (Clopper & Pearson 1934).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from cascade.errors import FitError
from cascade.policy import ACCEPT_NONE
from cascade.scores import Array

STEPS = 100
LIKELY = 0.9


@dataclass(frozen=True)
class Ranked:
    """Rows by what they compare on, and whether accepting each is right (1) or wrong (0)."""

    rank: Array
    outcome: Array


@dataclass(frozen=True)
class Certificate:
    """`delta` is the chance of a broken promise, `risk` the promise; `family` policies share the delta."""

    delta: float
    risk: float
    family: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise FitError(f"delta must lie between 0 and 1, got {self.delta:g}")

    @property
    def level(self) -> float:
        return self.delta / self.family

    @property
    def rows_needed(self) -> int:
        """Fewer accepted rows than this prove nothing, even without an error among them."""
        return math.ceil(math.log(self.level) / math.log1p(-self.risk))

    def check_rows(self, num_rows: int) -> None:
        if num_rows < self.rows_needed:
            raise FitError(
                f"{num_rows} rows are too few to certify a risk of {self.risk:g} at delta {self.delta:g}; "
                f"at least {self.rows_needed} must be left to certify on"
            )

    def threshold(self, seen: Ranked, rows: Ranked, settled: Array) -> float:
        """The lowest threshold that is certified, both for `rows` alone and with the `settled` outcomes.

        `seen` are other rows, where the sequence comes from.
        """
        certified = ACCEPT_NONE
        order = np.argsort(-rows.rank, kind="stable")
        ranked = -rows.rank[order]
        errors = np.r_[0, np.cumsum(rows.outcome[order] < 0.5)]
        errors_before, before = int((settled < 0.5).sum()), len(settled)
        for threshold in self._sequence(seen, len(rows.rank)):
            accepted = int(np.searchsorted(ranked, -threshold, side="right"))
            wrong = int(errors[accepted])
            if not self._passes(accepted, wrong) or (
                before and not self._passes(accepted + before, wrong + errors_before)
            ):
                break
            certified = threshold
        return certified

    def _passes(self, accepted: int, errors: int) -> bool:
        return bool(binom.cdf(errors, accepted, self.risk) <= self.level)

    def _sequence(self, seen: Ranked, num_rows: int) -> list[float]:
        """Thresholds that accept ever more, from where so many rows suffice.

        That is the first that would pass with a high chance at the risk seen on other rows, or else the one
        with the highest.
        """
        if len(seen.rank) == 0 or num_rows == 0:
            return []
        order = np.argsort(-seen.rank, kind="stable")
        ends = np.unique(np.ceil(np.arange(1, STEPS + 1) / STEPS * len(order)).astype(np.intp))
        errors = np.cumsum(seen.outcome[order] < 0.5)[ends - 1]
        power = self._power((errors + 1) / (ends + 2), ends / len(order) * num_rows)
        likely = np.flatnonzero(power >= LIKELY)
        start = likely[0] if len(likely) else power.argmax()
        return [float(rank) for rank in seen.rank[order][ends[start:] - 1]]

    def _power(self, risk: Array, accepted: Array) -> Array:
        """The chance that so many accepted rows of a true risk pass the test."""
        counts = np.round(accepted)
        most = binom.ppf(self.level, counts, self.risk)
        most = np.where(binom.cdf(most, counts, self.risk) <= self.level, most, most - 1)
        return np.asarray(binom.cdf(most, counts, risk), np.float64)
