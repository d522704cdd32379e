"""When requests come: processes of rate 1, stretched along a rate profile, or times that were recorded."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import ConfigError
from loadtest.traffic.rate import RateProfile

Times = NDArray[np.float64]
TIME_COLUMN = "time_s"


def draw_arrivals(
    kind: str, rate: RateProfile, duration_s: float, burstiness: float, generator: np.random.Generator
) -> Times:
    """Seconds, in order. Their number is fixed to the rate asked for, so that the offered rate is the one
    that is reported. `burstiness` is the coefficient of variation of the gaps (gamma alone)."""
    number = round(rate.mean * duration_s)
    units = {"constant": _constant, "poisson": _poisson, "gamma": _gamma}[kind](number, burstiness, generator)
    times = rate.times(units * (rate.mean * duration_s), duration_s)
    # Rounding must not put an arrival at the very end, which is in no block.
    return np.minimum(times, np.nextafter(duration_s, 0.0))


def _constant(number: int, burstiness: float, generator: np.random.Generator) -> Times:
    return np.arange(number) / number


def _poisson(number: int, burstiness: float, generator: np.random.Generator) -> Times:
    """Given their number, the arrivals of a Poisson process are uniform order statistics."""
    return np.sort(generator.uniform(0.0, 1.0, number))


def _gamma(number: int, burstiness: float, generator: np.random.Generator) -> Times:
    """Independent gaps of a gamma distribution; the last gap is the way to the end."""
    shape = burstiness**-2
    sums = np.cumsum(generator.gamma(shape, 1.0, number + 1))
    return np.asarray(sums[:-1] / sums[-1], np.float64)


def read_trace(path: Path, duration_s: float | None) -> Times:
    """Recorded times in seconds: the column `time_s` of a CSV, or its first one where there is no head. They
    are moved to begin at 0 and cut at `duration_s`. ConfigError names the file, the line and the value."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            times = _column(path, list(csv.reader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"--trace {path}: {error}") from None
    if len(times) == 0:
        raise ConfigError(f"--trace {path}: there are no times in it")
    times = np.sort(times - times.min())
    return times if duration_s is None else times[times < duration_s]


def _column(path: Path, lines: list[list[str]]) -> Times:
    column, begin = 0, 0
    if lines and not _is_number(lines[0][0] if lines[0] else ""):
        if TIME_COLUMN not in lines[0]:
            raise ConfigError(f"--trace {path}: no column {TIME_COLUMN!r}; there are: {', '.join(lines[0])}")
        column, begin = lines[0].index(TIME_COLUMN), 1
    return np.array(
        [_time(path, number, line, column) for number, line in enumerate(lines[begin:], begin + 1) if line],
        np.float64,
    )


def _time(path: Path, number: int, line: list[str], column: int) -> float:
    text = line[column] if column < len(line) else ""
    if not _is_number(text):
        raise ConfigError(f"--trace {path}, line {number}: {text!r} is no time in seconds")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
