"""What the server has done, as counters bumped once a batch or a request and summed when asked.

Only the event loop's thread touches them. Durations are nanoseconds.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal

from cascade.decision import ExitReason
from serving.exits import Exits
from serving.jobs import Job, Spent
from serving.running import Ran

Outcome = Literal["failed", "shed", "timed_out", "cancelled"]
"""How a request can end without an answer."""

AuditResult = Literal["agreed", "disagreed", "missing"]
"""Of a row drawn for an audit, whether it was labelled as all members together would have."""

Direction = Literal["down", "up"]
"""Of a shift of gears: to a cheaper policy, or a dearer one."""


NAMES = [ExitReason(code).wire_name for code in range(len(ExitReason))]


@dataclass(slots=True)
class Duration:
    """How often, and how long in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.ns += int(seconds * 1e9)


LATENCY_BOUNDS_S = tuple(1e-3 * 2.0 ** (step / 2) for step in range(-2, 29))
"""From half a millisecond to 16 s, two to each doubling."""


@dataclass(slots=True)
class Latency:
    """Requests by how long they took: `counts[k]` of those up to `LATENCY_BOUNDS_S[k]`, the last beyond."""

    seconds: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        self.counts[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1


@dataclass(slots=True)
class MemberStatistics:
    """`rows` executed in `compute.count` batches. A work item is the rows of one request in a batch: there
    were `num_works`, over which `spent` sums, and beside them those that `failed`."""

    rows: int = 0
    num_works: int = 0
    spent: Spent = field(default_factory=Spent)
    failed: Duration = field(default_factory=Duration)
    compute: Duration = field(default_factory=Duration)
    by_batch_size: defaultdict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))

    @property
    def batch_rows(self) -> int:
        """In all batches, those too that were lost."""
        return sum(size * duration.count for size, duration in self.by_batch_size.items())


@dataclass(slots=True)
class CascadeStatistics:
    """Of a model that was called: requests by outcome, and rows by where and why they left:
    `exits[policy, stage, reason]`, and `audits[policy, result]`. `spent` sums over answered requests, each
    the mean of its rows; `latency` is by the stage (from 1) of the row that went furthest. `macs` is what the
    stages cost that answers rest on, `full_macs` what all would have.
    """

    rows: int = 0
    spent: Spent = field(default_factory=Spent)
    success: Duration = field(default_factory=Duration)
    without_answer: defaultdict[Outcome, Duration] = field(default_factory=lambda: defaultdict(Duration))
    degraded: int = 0
    exits: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    shifts: Counter[Direction] = field(default_factory=Counter)
    audits: Counter[tuple[str, AuditResult]] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    latency: defaultdict[int, Latency] = field(default_factory=lambda: defaultdict(Latency))
    macs: float = 0.0
    full_macs: float = 0.0


class Statistics:
    """Counters of one server, by model name and by member key."""

    def __init__(self) -> None:
        self.cascades: defaultdict[str, CascadeStatistics] = defaultdict(CascadeStatistics)
        self.members: defaultdict[str, MemberStatistics] = defaultdict(MemberStatistics)

    def batch_done(self, ran: Ran) -> None:
        """Rows that were lost count as nothing but failures."""
        batch, spent = ran.batch, ran.spent
        member = self.members[batch.member.key]
        member.compute.add(spent.compute_s)
        member.by_batch_size[batch.num_rows].add(spent.compute_s)
        member.rows += batch.num_rows - ran.gated.num_lost
        without = {id(work.job) for work, _ in ran.gated.lost}
        for work in batch.works:
            waited_s = ran.started_s - work.entered_s
            work.job.spent.add(waited_s, spent, len(work.rows) / work.job.num_rows)
            if id(work.job) in without:
                member.failed.add(waited_s + spent.compute_s)
            else:
                member.num_works += 1
                member.spent.add(waited_s, spent)

    def rows_left(self, exits: Exits) -> None:
        statistics = self.cascades[exits.job.served.name]
        for reason, count in Counter(exits.reasons.tolist()).items():
            statistics.exits[exits.job.policy_name, exits.stage + 1, NAMES[reason]] += count
        statistics.accepted[exits.job.policy_name] += exits.num_accepted
        macs = exits.job.served.stage_macs
        statistics.macs += macs[exits.stage] * len(exits.rows)
        statistics.full_macs += macs[-1] * len(exits.rows)

    def audited(self, job: Job, result: AuditResult, num_rows: int) -> None:
        if num_rows:
            self.cascades[job.served.name].audits[job.policy_name, result] += num_rows

    def shifted(self, model: str, to: Direction) -> None:
        self.cascades[model].shifts[to] += 1

    def request_done(self, job: Job, seconds: float) -> None:
        statistics = self.cascades[job.served.name]
        statistics.rows += job.num_rows
        statistics.success.add(seconds)
        statistics.latency[int(job.final_answer.exit_stage.max())].add(seconds)
        statistics.spent.add(job.spent.queue_s, job.spent)
        statistics.degraded += job.is_degraded

    def request_failed(self, model: str, outcome: Outcome, seconds: float) -> None:
        self.cascades[model].without_answer[outcome].add(seconds)
