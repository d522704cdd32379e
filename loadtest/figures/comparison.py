"""How a contender differs from the baseline, with bootstrap intervals. Pure.

Both met the same arrivals and rows, so differences are taken pair by pair: quality by unique sample (or
group of samples), latency by time block, since neighbouring requests stand in the same queue. Intervals are
95% percentiles of 200 resamples (Efron 1979).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.intervals import Estimate, bootstrap_interval
from cascade.metrics import cost_macs
from loadtest.generator.closed_loop import ClosedLoopRun
from loadtest.generator.load_samples import LoadSamples, RequestSamples
from loadtest.measure.census import Census
from loadtest.traffic.samples import Samples

Array = NDArray[np.float64]
# An interval of fewer blocks would be made of hardly more than their names.
LEAST_BLOCKS = 3


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`accuracy`, `coverage`, `risk` and `cost` (multiples of stage 1) are differences, contender minus
    baseline, of the census; `accuracy_under_load` of all rows sent. `p50`, `p99` and `capacity` are ratios,
    contender over baseline; their interval is NaN where there are too few blocks."""

    accuracy: Estimate
    coverage: Estimate
    risk: Estimate
    cost: float | None
    accuracy_under_load: Estimate
    p50: Estimate
    p99: Estimate
    capacity: Estimate | None


def quality_difference(
    one: Census, other: Census, samples: Samples, statistic: Callable[[Census, Array], float]
) -> Estimate:
    """Of a statistic of a census in which each row counts as often as its weight says."""
    groups = np.arange(len(samples)) if samples.groups is None else samples.groups

    def difference(weight: Array) -> float:
        return statistic(one, weight) - statistic(other, weight)

    return _with_interval(difference, np.ones(len(samples)), groups)


def accuracy_of(samples: Samples) -> Callable[[Census, Array], float]:
    return lambda census, weight: float(np.average(census.rows.label == samples.labels, weights=weight))


def coverage(census: Census, weight: Array) -> float:
    return float(np.average(census.rows.accepted, weights=weight))


def risk_of(samples: Samples) -> Callable[[Census, Array], float]:
    """NaN where no row is accepted."""

    def risk(census: Census, weight: Array) -> float:
        accepted = weight * census.rows.accepted
        wrong = accepted[census.rows.label != samples.labels].sum()
        return float(wrong / accepted.sum()) if accepted.sum() else math.nan

    return risk


def cost_difference(one: Census, other: Census) -> float | None:
    """In multiples of the baseline's stage 1, also where the two are of different cascades."""
    ours, theirs = one.case.cascade, other.case.cascade
    if ours is None or theirs is None:
        return None
    macs = cost_macs(one.rows.exit_stage, ours.stage_macs) - cost_macs(
        other.rows.exit_stage, theirs.stage_macs
    )
    return macs / theirs.stage_macs[0]


def accuracy_under_load(one: LoadSamples, other: LoadSamples, samples: Samples) -> Estimate:
    """Both were sent the same rows, in the same order. The wider of two intervals: by sample, since a row
    sent often is one row, and by block, since a stall that costs many rows their answer is one stall."""
    assert samples.labels is not None
    labels = samples.labels[one.rows.sample]
    gained = (one.rows.label == labels).astype(np.float64) - (other.rows.label == labels)
    groups = one.rows.sample if samples.groups is None else samples.groups[one.rows.sample]
    blocks = one.requests.block[one.rows.request]

    def mean(weight: Array) -> float:
        return float(np.average(gained, weights=weight))

    intervals = [_with_interval(mean, np.ones(len(gained)), each) for each in (groups, blocks)]
    return max(intervals, key=lambda share: share.high - share.low if math.isfinite(share.low) else -1.0)


def latency_ratio(one: RequestSamples, other: RequestSamples, percent: float) -> Estimate:
    """Of a percentile; blocks are drawn as wholes, and of both together. Infinite latencies rank last."""
    blocks, index = np.unique(one.block, return_inverse=True)
    other_index = np.searchsorted(blocks, other.block)

    def ratio(weight: Array) -> float:
        ours = weighted_percentile(one.latency_ms, weight[index], percent)
        theirs = weighted_percentile(other.latency_ms, weight[other_index], percent)
        return ours / theirs if math.isfinite(theirs) else math.nan

    return _with_interval(ratio, np.ones(len(blocks)), np.arange(len(blocks)))


def weighted_percentile(values: Array, weight: Array, percent: float) -> float:
    """The least value up to which at least so much of the weight lies: a sample really taken."""
    order = np.argsort(values)
    sums = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(sums, percent / 100 * sums[-1])])


def capacity_ratio(one: Sequence[ClosedLoopRun], other: Sequence[ClosedLoopRun]) -> Estimate:
    """The median of the turns' ratios, and their range in the place of an interval."""
    pairs = zip(one, other, strict=True)
    ratios = [a.rows_per_s / b.rows_per_s for a, b in pairs if b.rows_per_s > 0]
    if not ratios:
        return Estimate(math.nan, math.nan, math.nan)
    return Estimate(float(np.median(ratios)), min(ratios), max(ratios))


def _with_interval(
    statistic: Callable[[Array], float], weight: Array, groups: NDArray[np.integer]
) -> Estimate:
    """NaN where a resample has no finite value: too many of its requests had no answer."""
    value, seen = statistic(weight), list[float]()
    if len(np.unique(groups)) < LEAST_BLOCKS or not math.isfinite(value):
        return Estimate(value, math.nan, math.nan)

    def finite(counts: Array) -> float:
        seen.append(statistic(counts))
        return seen[-1] if math.isfinite(seen[-1]) else 0.0

    low, high = bootstrap_interval(finite, [groups])
    is_known = all(map(math.isfinite, seen))
    return Estimate(value, low, high) if is_known else Estimate(value, math.nan, math.nan)
