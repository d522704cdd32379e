"""Latencies as standard histogram logs (HdrHistogram, format 1.2), an interval for each time block.

Percentiles of the report are exact, off the raw samples; these files are for other tools, which can merge
them. Values are microseconds, to three significant digits.
"""

from pathlib import Path

import numpy as np
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter
from numpy.typing import NDArray

from loadtest.figures.results import Results
from loadtest.generator.load_samples import RequestSamples
from loadtest.measure.campaign import case_id
from loadtest.raw import file_name

LEAST_US = 1
# A request without an answer is counted here, above all answers.
MOST_US = 3_600_000_000
DIGITS = 3
# The log tells the largest value of an interval in milliseconds.
US_PER_MS = 1000.0


def write_histograms(folder: Path, results: Results) -> None:
    """`latency-CONTENDER-OVER.hlog` for each case."""
    for case in results.campaign.cases:
        samples = results.campaign.loads[case_id(case)].samples.requests
        write_log(
            folder / f"latency-{file_name(case)}.hlog",
            samples,
            results.campaign.num_blocks,
            results.campaign.block_s,
        )


def write_log(path: Path, requests: RequestSamples, num_blocks: int, block_s: float) -> None:
    with path.open("w", encoding="utf-8") as file:
        log = HistogramLogWriter(file)
        log.output_comment("[latency from the intended send, in microseconds]")
        num_errors = int((~requests.is_answered).sum())
        log.output_comment(f"[{num_errors} requests without an answer stand at {MOST_US}]")
        log.output_log_format_version()
        log.output_legend()
        for block in range(num_blocks):
            histogram = histogram_of(requests.latency_ms[requests.block == block])
            # A start of 0 would be taken for none, and the time of day be written in its place.
            begin_s = max(block * block_s, 1e-9)
            log.output_interval_histogram(histogram, begin_s, begin_s + block_s, US_PER_MS)


def histogram_of(latency_ms: NDArray[np.float64]) -> HdrHistogram:
    histogram = HdrHistogram(LEAST_US, MOST_US, DIGITS)
    values_us = np.clip(np.round(latency_ms * US_PER_MS), LEAST_US, MOST_US).astype(np.int64)
    for value, number in zip(*np.unique(values_us, return_counts=True), strict=True):
        histogram.record_value(int(value), int(number))
    return histogram
