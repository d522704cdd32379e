"""Intervals of scores, and the coin that divides a plateau of equal scores.

Float32 softmax outputs tie: a quarter of a real network's MSPs can be exactly 1. Where the edge of a
window falls inside such a plateau, all of it or none of it would go on, and a budget could not be kept. A
`Tie` then names the score and the share of its rows that are forwarded. Which rows is drawn by a coin that
depends on the seed and on the row's own outputs alone: not on its neighbours, nor on the order of rows or
classes; rows with identical outputs fall alike.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.errors import PolicyError
from cascade.scores import Array

Mask = NDArray[np.bool_]
Digests = NDArray[np.uint64]


@dataclass(frozen=True)
class Window:
    """Scores within `[lo, hi]`, both ends included, are forwarded. Infinite ends are open."""

    lo: float
    hi: float

    def __post_init__(self) -> None:
        if math.isnan(self.lo) or math.isnan(self.hi):
            raise PolicyError(f"window [{self.lo}, {self.hi}] has an end that is no number")

    def contains(self, score: Array) -> Mask:
        return (score >= self.lo) & (score <= self.hi)


NOTHING = Window(math.inf, -math.inf)
"""The empty window: nothing is forwarded."""


@dataclass(frozen=True)
class Tie:
    """Of the rows whose score is exactly `score`, the coin forwards about `share`."""

    score: float
    share: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.score) or not 0 <= self.share <= 1:
            raise PolicyError(f"a tie needs a finite score and a share in [0, 1], got {self}")


def digest(outputs: NDArray[np.floating]) -> Digests:
    """64 bits per row of `(rows, classes)` outputs, whatever the order of the classes."""
    bits = (outputs.astype(np.float64) + 0.0).view(np.uint64)  # + 0.0 makes one zero of two
    return np.asarray(_mixed(bits).sum(axis=-1, dtype=np.uint64))


def coin(digests: Digests, seed: int, stage: int) -> Array:
    """A number in [0, 1) per row, even over rows, seeds and stages."""
    salt = _mixed(np.array([(seed * 1024 + stage) % 2**64], np.uint64))
    return np.asarray((_mixed(digests ^ salt) >> np.uint64(11)) * 2.0**-53)


def _mixed(bits: Digests) -> Digests:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))
