"""Thresholds whose risk exceeds the target with probability at most delta, on rows like those given.

Fixed-sequence testing (Angelopoulos et al. 2021, Learn then Test, section 2): thresholds from strict to
lax are tested in turn, each at level delta, and the last one before the first failure is kept. That the
sequence and its start come from other rows than the tests do is what makes it valid. Each test is exact:
among m accepted rows at a risk above the target, k errors or fewer are less likely than
P(Binomial(m, target) <= k) (Clopper & Pearson 1934).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from cascade.errors import FitError
from cascade.metrics import midway
from cascade.policy import ACCEPT_NONE
from cascade.scores import Array
from cascade.window import Mask

STEPS = 100
LIKELY = 0.9


@dataclass(frozen=True)
class Ranked:
    """Rows by what they compare on, `(rows,)` each: whether accepting is right (1) or wrong (0), how much the
    row counts, and the depth (from 0) at which it leaves."""

    rank: Array
    outcome: Array
    weight: Array
    depth: NDArray[np.intp]

    def where(self, chosen: Mask) -> "Ranked":
        return Ranked(self.rank[chosen], self.outcome[chosen], self.weight[chosen], self.depth[chosen])

    def leaving_by(self, depth: int) -> "Ranked":
        """What a cascade that is cut short after `depth` has let go by itself."""
        return self.where(self.depth <= depth)

    def above(self, floors: Sequence[float]) -> "Ranked":
        """Without the rows below the floor of their depth; those of later depths have none."""
        every = np.full(int(self.depth.max(initial=0)) + 1 + len(floors), -np.inf)
        every[: len(floors)] = floors
        return self.where(self.rank >= every[self.depth])


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

    def thresholds(self, seen: Ranked, rows: Ranked, num_depths: int) -> tuple[float, ...]:
        """The lowest threshold of each depth that is certified, over all `rows` and over those that leave at
        or before each depth, which are what a cascade has accepted when it is cut short.

        `seen` are other rows, where the sequence of thresholds comes from, and a floor for each depth but the
        last, below which the rows that leave by then would hardly pass.
        """
        floors: list[float] = []
        for depth in range(num_depths - 1):
            kept, left = (of.leaving_by(depth).above(floors) for of in (seen, rows))
            floors.append(self._floor(kept, left))
        certified = self._lowest(seen.above(floors), rows.above(floors), num_depths)
        return (*(max(floor, certified) for floor in floors), certified)

    def _floor(self, seen: Ranked, rows: Ranked) -> float:
        """The lowest threshold that rows like those seen would pass with a high chance."""
        steps = _steps(seen)
        likely = [step for step in steps if self._power(seen, rows, step) >= LIKELY]
        return likely[-1] if likely else ACCEPT_NONE

    def _lowest(self, seen: Ranked, rows: Ranked, num_depths: int) -> float:
        """The last threshold before the first that fails, from where so many rows likely suffice."""
        steps = _steps(seen)
        if len(steps) == 0:
            return ACCEPT_NONE
        early = [(seen.leaving_by(depth), rows.leaving_by(depth)) for depth in range(num_depths - 1)]
        power = np.array([self._least_power([(seen, rows), *early], step) for step in steps])
        likely = np.flatnonzero(power >= LIKELY)
        certified = ACCEPT_NONE
        for step in steps[likely[0] if len(likely) else int(power.argmax()) :]:
            tested = [rows, *(part for _, part in early if _counts(part, step) != (0, 0))]
            if not all(self._passes(*_counts(part, step)) for part in tested):
                break
            certified = step
        return certified

    def _least_power(self, pairs: Sequence[tuple[Ranked, Ranked]], threshold: float) -> float:
        """Over all rows and those of early depths; a depth that accepts nothing breaks no promise."""
        whole, *early = pairs
        asked = [whole, *(pair for pair in early if _counts(pair[0], threshold)[0])]
        return min(self._power(*pair, threshold) for pair in asked)

    def _passes(self, accepted: int, errors: int) -> bool:
        return bool(binom.cdf(errors, accepted, self.risk) <= self.level)

    def _power(self, seen: Ranked, rows: Ranked, threshold: float) -> float:
        """The chance that `rows` pass at a threshold, if their risk is that of the rows seen."""
        accepted, errors = _counts(seen, threshold)
        expected = round(accepted / max(len(seen.rank), 1) * len(rows.rank))
        if expected == 0:
            return 0.0
        most = int(binom.ppf(self.level, expected, self.risk))
        most = most if binom.cdf(most, expected, self.risk) <= self.level else most - 1
        median_risk = (errors + 1 / 3) / (accepted + 2 / 3)  # as likely too low as too high
        return float(binom.cdf(most, expected, median_risk))


def _steps(rows: Ranked) -> list[float]:
    """Thresholds that accept ever more of the rows, midway between neighbouring ranks."""
    descending = np.sort(rows.rank)[::-1]
    ends = np.unique(np.ceil(np.arange(1, STEPS + 1) / STEPS * len(descending)).astype(np.intp))
    padded = np.append(descending, -np.inf)
    steps = []
    for end in ends[ends > 0]:
        last = padded[end - 1]
        following = int(np.searchsorted(-padded, -last, side="right"))
        steps.append(float(midway(last, padded[following])))
    return list(dict.fromkeys(steps))


def _counts(rows: Ranked, threshold: float) -> tuple[int, int]:
    """Accepted rows, and errors among them."""
    accepted = rows.rank >= threshold
    return int(accepted.sum()), int((rows.outcome[accepted] < 0.5).sum())
