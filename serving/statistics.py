"""What the server has done, as counters bumped once a batch or a request and summed when asked.

Only the event loop's thread touches them. Durations are nanoseconds.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from cascade.decision import ExitReason
from serving.gate import Exits
from serving.jobs import Batch, Job


@dataclass(slots=True)
class Duration:
    """How often, and how long in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, count: int = 1) -> None:
        self.count += count
        self.ns += int(seconds * 1e9)


@dataclass(slots=True)
class MemberStatistics:
    """`rows` executed in `compute.count` batches; `queue` sums over the work items of those batches."""

    rows: int = 0
    failed: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute: Duration = field(default_factory=Duration)
    by_batch_size: defaultdict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))


@dataclass(slots=True)
class CascadeStatistics:
    """Requests by outcome, and rows by where and why they left: `exits[policy, stage, reason]`."""

    rows: int = 0
    success: Duration = field(default_factory=Duration)
    failed: Duration = field(default_factory=Duration)
    exits: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)


class Statistics:
    """Counters of one server, by model name and by member key."""

    def __init__(self) -> None:
        self.cascades: defaultdict[str, CascadeStatistics] = defaultdict(CascadeStatistics)
        self.members: defaultdict[str, MemberStatistics] = defaultdict(MemberStatistics)

    def batch_done(self, batch: Batch, started_s: float, compute_s: float) -> None:
        member = self.members[batch.member]
        member.rows += batch.num_rows
        member.compute.add(compute_s)
        member.by_batch_size[batch.num_rows].add(compute_s)
        waited_s = sum(started_s - work.entered_s for work in batch.works)
        member.queue.add(waited_s, len(batch.works))

    def batch_failed(self, batch: Batch, compute_s: float) -> None:
        self.members[batch.member].failed.add(compute_s)

    def rows_left(self, exits: Exits) -> None:
        statistics = self.cascades[exits.job.served.name]
        reasons, counts = np.unique(exits.reasons, return_counts=True)
        for reason, count in zip(reasons.tolist(), counts.tolist(), strict=True):
            name = ExitReason(reason).wire_name
            statistics.exits[exits.job.policy_name, exits.stage + 1, name] += count
        statistics.accepted[exits.job.policy_name] += exits.num_accepted

    def request_done(self, job: Job, seconds: float) -> None:
        statistics = self.cascades[job.served.name]
        statistics.rows += job.num_rows
        statistics.success.add(seconds)

    def request_failed(self, model: str, seconds: float) -> None:
        self.cascades[model].failed.add(seconds)
