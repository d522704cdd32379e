"""What a simulation saw."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class MemberLoad:
    """`rows` were run in `batches` and waited `wait_s` together, `most_waiting` of them at once."""

    rows: int
    batches: int
    busy_s: float
    wait_s: float
    most_waiting: int

    @property
    def mean_batch_rows(self) -> float:
        return self.rows / self.batches if self.batches else 0.0

    @property
    def mean_wait_s(self) -> float:
        return self.wait_s / self.rows if self.rows else 0.0


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """`latency_s` is of each request, to its last row, and `exit_stage` of each row, 1 the first. `span_s`
    is from the first arrival to the last answer; `replicas` are those of the pool that runs a member."""

    latency_s: NDArray[np.float64]
    exit_stage: NDArray[np.int64]
    span_s: float
    loads: Mapping[str, MemberLoad]
    replicas: Mapping[str, int]

    def percentile_s(self, percent: float) -> float:
        """Of latency: one that some request had."""
        return float(np.percentile(self.latency_s, percent, method="inverted_cdf"))

    @property
    def busy_s_per_row(self) -> float:
        """Seconds of all members for a row that came in."""
        return sum(load.busy_s for load in self.loads.values()) / len(self.exit_stage)

    @property
    def rows_per_s(self) -> float:
        return len(self.exit_stage) / self.span_s

    def utilisation(self, member: str) -> float:
        """The share of its replicas' time in which they are busy with it. Replicas that never wait for a
        full batch are busy long before they are at their capacity."""
        return self.loads[member].busy_s / (self.span_s * self.replicas[member])

    def mean_waiting(self, member: str) -> float:
        """Rows in its queue, averaged over time."""
        return self.loads[member].wait_s / self.span_s
