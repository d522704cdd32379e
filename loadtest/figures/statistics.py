"""Figures of an open loop, exact and read off its raw samples. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import Cascade
from loadtest.generator.load_samples import LoadSamples, RequestSamples
from loadtest.generator.usage import GeneratorUsage
from loadtest.measure.server_usage import ServerUsage
from loadtest.wire.client import Status
from loadtest.wire.model_statistics import ModelStatistics

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
    """Whether the generator may have measured itself: `cpu_share` is of one core, of the busiest process."""

    lag_p99_ms: float
    cpu_share: float

    @property
    def is_valid(self) -> bool:
        return self.lag_p99_ms <= LAG_LIMIT_MS and self.cpu_share <= CPU_LIMIT


@dataclass(frozen=True, kw_only=True)
class ServerFigures:
    """Per answered row, in milliseconds; None where the server does not tell. `member_ms` are executions of
    each member, `queue_ms` the waiting of rows for members."""

    cpu_ms: float | None
    member_ms: dict[str, float] | None
    queue_ms: float | None


@dataclass(frozen=True, kw_only=True)
class LoadFigures:
    """Rates count the requests answered within the offered time, and divide by it. `latency` is
    over all requests, failed ones included; `service` over those that were sent; `by_exit_stage` over
    answered ones."""

    num_requests: int
    offered_s: float
    statuses: dict[str, int]
    num_degraded: int
    latency: Latency
    service: Latency | None
    by_exit_stage: dict[int, Latency]
    requests_per_s: float
    rows_per_s: float
    generator: GeneratorCheck
    server: ServerFigures

    @property
    def num_answered(self) -> int:
        return self.statuses[Status.OK.name.lower()]

    @property
    def num_errors(self) -> int:
        return self.num_requests - self.num_answered

    @property
    def offered_rate(self) -> float:
        """Requests a second."""
        return self.num_requests / self.offered_s


def load_figures(
    samples: LoadSamples,
    offered_s: float,
    usage: GeneratorUsage,
    server: ServerUsage,
    cascade: Cascade | None = None,
    block_s: float | None = None,
) -> LoadFigures:
    """`offered_s` is the length of the schedule, `block_s` that of one block where there are several."""
    requests = samples.requests
    is_sent = ~np.isnan(requests.sent_s)
    in_time = requests.is_answered & (requests.done_s <= (offered_s if block_s is None else block_s))
    return LoadFigures(
        num_requests=len(requests),
        offered_s=offered_s,
        statuses={status.name.lower(): int((requests.status == status).sum()) for status in Status},
        num_degraded=int(requests.degraded.sum()),
        latency=latency(requests.latency_ms),
        service=latency(requests.service_ms[is_sent]) if is_sent.any() else None,
        by_exit_stage=_by_exit_stage(requests),
        requests_per_s=int(in_time.sum()) / offered_s,
        rows_per_s=int(requests.num_rows[in_time].sum()) / offered_s,
        generator=GeneratorCheck(lag_p99_ms=latency(requests.lag_ms).p99_ms, cpu_share=usage.cpu_share),
        server=server_figures(server, int(requests.num_rows[requests.is_answered].sum()), cascade),
    )


def latency(values_ms: NDArray[np.float64]) -> Latency:
    p50, p90, p99, largest = np.percentile(values_ms, [50, 90, 99, 100], method="inverted_cdf").tolist()
    return Latency(num_samples=len(values_ms), p50_ms=p50, p90_ms=p90, p99_ms=p99, max_ms=largest)


def server_figures(server: ServerUsage, num_rows: int, cascade: Cascade | None) -> ServerFigures:
    if num_rows == 0:
        return ServerFigures(cpu_ms=None, member_ms=None, queue_ms=None)
    cpu_ms = None if server.cpu_s is None else server.cpu_s * 1e3 / num_rows
    if server.statistics is None or cascade is None:
        return ServerFigures(cpu_ms=cpu_ms, member_ms=None, queue_ms=None)
    members = [(m.name, server.statistics.get(m.name, ModelStatistics())) for m in cascade.members]
    return ServerFigures(
        cpu_ms=cpu_ms,
        member_ms={name: spent.compute_s * 1e3 / num_rows for name, spent in members},
        queue_ms=sum(spent.queue_s for _, spent in members) * 1e3 / num_rows,
    )


def _by_exit_stage(requests: RequestSamples) -> dict[int, Latency]:
    stages = np.unique(requests.exit_stage[requests.exit_stage > 0]).tolist()
    return {stage: latency(requests.latency_ms[requests.exit_stage == stage]) for stage in stages}
