"""Figures of an open loop, exact and read off its raw samples. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.config import LoadConfig
from loadtest.generator.load_samples import LoadSamples
from loadtest.generator.usage import Usage
from loadtest.wire.client import Status

LAG_LIMIT_MS = 1.0
CPU_LIMIT = 0.8


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds. Each percentile is a sample that was really taken, never an interpolation; infinite
    where it falls among the requests without an answer, which rank above all answers."""

    num_samples: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, kw_only=True)
class GeneratorCheck:
    """Whether the generator may have measured itself: `cpu_share` is of one core."""

    lag_p99_ms: float
    cpu_share: float

    @property
    def is_limited(self) -> bool:
        return self.lag_p99_ms > LAG_LIMIT_MS or self.cpu_share > CPU_LIMIT


@dataclass(frozen=True, kw_only=True)
class LoadFigures:
    """Rates count the requests answered within the offered time, and divide by it. `latency` is
    over all requests, failed ones included; `service` over those that were sent; `by_exit_stage` over
    answered ones."""

    num_requests: int
    statuses: dict[str, int]
    num_degraded: int
    latency: Latency
    service: Latency | None
    by_exit_stage: dict[int, Latency]
    requests_per_s: float
    rows_per_s: float
    generator: GeneratorCheck
    server_cpu_ms_per_row: float | None

    @property
    def num_answered(self) -> int:
        return self.statuses[Status.OK.name.lower()]

    @property
    def num_errors(self) -> int:
        return self.num_requests - self.num_answered


def load_figures(samples: LoadSamples, load: LoadConfig, usage: Usage) -> LoadFigures:
    num_in_time = int((samples.is_answered & (samples.done_s <= load.duration_s)).sum())
    num_rows = int(samples.is_answered.sum()) * load.rows_per_request
    is_sent = ~np.isnan(samples.sent_s)
    return LoadFigures(
        num_requests=len(samples),
        statuses={status.name.lower(): int((samples.status == status).sum()) for status in Status},
        num_degraded=int(samples.degraded.sum()),
        latency=latency(samples.latency_ms),
        service=latency(samples.service_ms[is_sent]) if is_sent.any() else None,
        by_exit_stage=_by_exit_stage(samples),
        requests_per_s=num_in_time / load.duration_s,
        rows_per_s=num_in_time * load.rows_per_request / load.duration_s,
        generator=GeneratorCheck(
            lag_p99_ms=latency(samples.lag_ms).p99_ms, cpu_share=usage.generator_cpu_share
        ),
        server_cpu_ms_per_row=cpu_ms_per_row(usage, num_rows),
    )


def latency(values_ms: NDArray[np.float64]) -> Latency:
    p50, p90, p99, largest = np.percentile(values_ms, [50, 90, 99, 100], method="inverted_cdf").tolist()
    return Latency(num_samples=len(values_ms), p50_ms=p50, p90_ms=p90, p99_ms=p99, max_ms=largest)


def cpu_ms_per_row(usage: Usage, num_rows: int) -> float | None:
    if usage.server_cpu_s is None or num_rows == 0:
        return None
    return usage.server_cpu_s * 1e3 / num_rows


def _by_exit_stage(samples: LoadSamples) -> dict[int, Latency]:
    stages = np.unique(samples.exit_stage[samples.exit_stage > 0]).tolist()
    return {stage: latency(samples.latency_ms[samples.exit_stage == stage]) for stage in stages}
