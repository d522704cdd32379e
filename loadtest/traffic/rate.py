"""Requests per second over a run: constant, in steps, or along ramps."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import ConfigError

RAMP = ".."


@dataclass(frozen=True)
class RateProfile:
    """Segments of equal length, each a straight line from one rate to another. Their text is what was
    typed: `200`, `100,400,100` (steps), `100..400` (a ramp), or both, as in `50,50..400,50`."""

    text: str
    segments: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> float:
        return sum(begin + end for begin, end in self.segments) / (2 * len(self.segments))

    @property
    def is_constant(self) -> bool:
        return len({rate for segment in self.segments for rate in segment}) == 1

    def times(self, arrivals: NDArray[np.float64], duration_s: float) -> NDArray[np.float64]:
        """Seconds at which so many arrivals, whole or in part, have come: the inverse of the integral of
        the rate. A process of rate 1 in, one of this profile out."""
        length_s = duration_s / len(self.segments)
        counts = np.array([(begin + end) / 2 * length_s for begin, end in self.segments])
        edges = np.concatenate([[0.0], np.cumsum(counts)])
        segment = np.clip(np.searchsorted(edges, arrivals, side="right") - 1, 0, len(counts) - 1)
        begin, end = np.array(self.segments).T[:, segment]
        over = arrivals - edges[segment]
        # The root of begin·t + (end - begin)·t²/(2·length) = over, in the form that bears a slope of 0.
        root = np.sqrt(np.maximum(begin**2 + 2 * (end - begin) / length_s * over, 0.0))
        within = np.divide(2 * over, begin + root, out=np.zeros_like(over), where=over > 0)
        return np.asarray(segment * length_s + np.minimum(within, length_s), np.float64)


def constant_rate(rate: float) -> RateProfile:
    return RateProfile(f"{rate:g}", ((rate, rate),))


def parse_rate(text: str) -> RateProfile:
    """ConfigError names the part that is wrong."""
    segments = tuple(_segment(part.strip()) for part in text.split(","))
    if not any(rate > 0 for segment in segments for rate in segment):
        raise ConfigError(f"--rate {text!r} sends nothing")
    return RateProfile(text, segments)


def _segment(part: str) -> tuple[float, float]:
    begin, found, end = part.partition(RAMP)
    return _rate(begin), _rate(end if found else begin)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate >= 0):
        raise ConfigError(f"--rate: {text!r} is no rate; give 200, steps 100,400 or a ramp 100..400")
    return rate
