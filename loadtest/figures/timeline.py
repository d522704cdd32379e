"""A case's load over time, in bins of the schedule. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.generator.load_samples import LoadSamples, RequestSamples
from loadtest.wire.client import Status

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
# Seconds; the first that makes no more than MOST_BINS of a run.
WIDTHS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
MOST_BINS = 60


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """`edges_s` (bins + 1,), the rest (bins,) but for `exits` (stages, bins), which are shares of the
    answered rows, and NaN in a bin without any. Rates are of requests, `answered` at the time of the answer
    and within its block, all else at the intended send. Percentiles of latency are infinite where requests
    without an answer reach down to them, NaN where there was no request."""

    edges_s: Array
    offered: Array
    answered: Array
    exits: Array
    p50_ms: Array
    p99_ms: Array
    num_shed: Counts
    num_failed: Counts


def timeline(samples: LoadSamples, offered_s: float, block_s: float, num_stages: int) -> Timeline:
    """`offered_s` is the length of all blocks, `block_s` that of one."""
    requests = samples.requests
    edges_s = bin_edges(offered_s)
    began_s = requests.block * block_s
    intended_s = began_s + requests.intended_s
    in_block = requests.is_answered & (requests.done_s <= block_s)
    width_s = np.diff(edges_s)
    return Timeline(
        edges_s=edges_s,
        offered=_counts(intended_s, edges_s) / width_s,
        answered=_counts((began_s + requests.done_s)[in_block], edges_s) / width_s,
        exits=_exits(samples, intended_s, edges_s, num_stages),
        p50_ms=_percentiles(requests, intended_s, edges_s, 50),
        p99_ms=_percentiles(requests, intended_s, edges_s, 99),
        num_shed=_counts(intended_s[requests.status == Status.SHED], edges_s),
        num_failed=_counts(intended_s[~requests.is_answered & (requests.status != Status.SHED)], edges_s),
    )


def bin_edges(offered_s: float) -> Array:
    """The last bin ends with the run, and may be shorter than the others."""
    width = next((w for w in WIDTHS_S if offered_s / w <= MOST_BINS), offered_s / MOST_BINS)
    inner = np.arange(0.0, offered_s, width)
    # A sliver of a bin at the end would show wild rates.
    if len(inner) > 1 and offered_s - inner[-1] < width / 2:
        inner = inner[:-1]
    return np.append(inner, offered_s)


def _counts(times_s: Array, edges_s: Array) -> Counts:
    return np.asarray(np.histogram(times_s, edges_s)[0], np.int64)


def _exits(samples: LoadSamples, intended_s: Array, edges_s: Array, num_stages: int) -> Array:
    rows = samples.rows
    times = intended_s[rows.request]
    counts = np.array(
        [_counts(times[rows.exit_stage == stage], edges_s) for stage in range(1, num_stages + 1)], np.float64
    )
    total = counts.sum(axis=0)
    return np.asarray(np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0))


def _percentiles(requests: RequestSamples, intended_s: Array, edges_s: Array, percent: float) -> Array:
    """Of each bin; samples that were really taken."""
    latency_ms, bins = requests.latency_ms, np.digitize(intended_s, edges_s[1:-1])
    return np.array(
        [
            np.percentile(latency_ms[bins == number], percent, method="inverted_cdf")
            if (bins == number).any()
            else np.nan
            for number in range(len(edges_s) - 1)
        ],
        np.float64,
    )
