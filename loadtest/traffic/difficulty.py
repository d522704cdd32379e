"""How hard a row is, and traffic with more hard rows in it than the samples have. Pure.

The difficulty of a row is the share of reference rows of which the first stage is surer. The hardest
quarter of the reference counts as hard, so that natural traffic has a hard share of about 0.25.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import ConfigError, SamplesError

HARD_FROM = 0.75
Ranks = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HardBursts:
    """All rows are hard in the last `on_s` seconds of every `period_s`."""

    on_s: float
    period_s: float

    def __post_init__(self) -> None:
        if not 0 < self.on_s < self.period_s:
            raise ConfigError(
                f"--hard-bursts {self.on_s:g}/{self.period_s:g} is not ON/PERIOD with ON the less"
            )

    def is_on(self, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray(times_s % self.period_s >= self.period_s - self.on_s)


def parse_hard_bursts(text: str) -> HardBursts:
    on, _, period = text.partition("/")
    try:
        return HardBursts(on_s=float(on), period_s=float(period))
    except ValueError:
        raise ConfigError(f"--hard-bursts {text!r} is not ON/PERIOD in seconds, as in 2/10") from None


def difficulty(sureness: NDArray[np.float64], reference: NDArray[np.float64]) -> Ranks:
    """(rows,) in [0, 1]. Rows as sure as a reference row count it for half."""
    ordered = np.sort(reference)
    above = len(ordered) - np.searchsorted(ordered, sureness, side="right")
    not_below = len(ordered) - np.searchsorted(ordered, sureness, side="left")
    return np.asarray((above + not_below) / 2 / len(ordered), np.float64)


def check_dial(ranks: Ranks, hard_share: float | None, *, has_bursts: bool = False) -> None:
    """SamplesError where the samples have no row of a kind that is asked for."""
    num_hard = int(is_hard(ranks).sum())
    if (hard_share != 0 or has_bursts) and num_hard == 0:
        raise SamplesError("no row of the samples is hard, and the dial asks for such")
    if hard_share != 1 and num_hard == len(ranks):
        raise SamplesError("every row of the samples is hard, and the dial asks for others too")


def is_hard(ranks: Ranks) -> NDArray[np.bool_]:
    return np.asarray(ranks >= HARD_FROM)
