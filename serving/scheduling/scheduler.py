"""Which rows run next. Pure: takes events and the time, returns batches; no clock, no I/O.

Each member has a queue (one per shape of row, where shapes vary), and in it a lane for each cascade. A
worker that is free never waits. It serves the lane that has had the least so far, so that a flood of one
cascade does not starve another, and takes from the queue that the rule puts first. What room the lane
leaves in the batch goes to other lanes' rows.

Within a queue the earliest deadline goes first. Among queues, the most urgent level of priority; then those
with rows enough for the member to be about as efficient as at full batches, or whose head has been passed
over for `max_wait_s`, by how long their heads have waited; then the most efficient. So rows of different
requests meet again in later stages, in batches worth running. Deadlines do not choose among queues: near
theirs, rows would run in small batches, and the lost throughput makes the next ones late.
`benchmarks/scheduling.py` compares rules.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from serving.config import SchedulerConfig
from serving.jobs import Batch, Job, Order, Rows, ShapeKey, Work
from serving.members import Member
from serving.scheduling.curves import LearntCurve

QueueKey = tuple[Member, ShapeKey]
Heap = list[tuple[Order, int, Work]]
Rank = tuple[float, ...]

EFFICIENT = 0.9
"""Of the rows a second at full batches; a smaller batch is worth running at once."""

MARGIN_S = 0.002


@dataclass(slots=True)
class Queue:
    """Work for one member, by lane, the most urgent job first."""

    member: Member
    lanes: dict[str, Heap] = field(default_factory=dict)
    num_rows: int = 0

    def push(self, work: Work, ticket: int) -> None:
        heap = self.lanes.setdefault(work.job.flow.lane, [])
        heapq.heappush(heap, (work.job.order, ticket, work))
        self.num_rows += len(work.rows)

    def pop(self, lane: str) -> Work:
        heap = self.lanes[lane]
        work = heapq.heappop(heap)[2]
        self.num_rows -= len(work.rows)
        if not heap:
            del self.lanes[lane]
        return work

    def head(self, lane: str) -> Work:
        return self.lanes[lane][0][2]


Rule = Callable[[Queue, Work, float, SchedulerConfig], Rank]


def worthwhile_first(queue: Queue, head: Work, now_s: float, config: SchedulerConfig) -> Rank:
    """The rule above, as a rank: the smallest goes first."""
    level, due_s, number = head.job.order
    efficiency = queue.member.curve.efficiency(min(queue.num_rows, config.max_batch_rows))
    if efficiency >= EFFICIENT or now_s - head.entered_s >= config.max_wait_s:
        return level, 0, head.entered_s, due_s, number
    return level, 1, -efficiency, due_s, number


def _curve(work: Work) -> LearntCurve:
    return work.job.served.slots[work.slot].curve


class Scheduler:
    """Queues and workers. `submit` and `forward` bring rows, `next_batch` takes, `finish` frees a worker."""

    def __init__(self, config: SchedulerConfig, rule: Rule = worthwhile_first) -> None:
        self._config = config
        self._rule = rule
        self._queues: dict[QueueKey, Queue] = {}
        self._had_s: dict[str, float] = {}
        self._free_workers = config.num_workers
        self._tickets = 0

    @property
    def queued_rows(self) -> int:
        return sum(queue.num_rows for queue in self._queues.values())

    def submit(self, job: Job, now_s: float) -> None:
        """All rows of a new job wait for the first stage."""
        self._enter(job, np.arange(job.num_rows), 0, now_s)

    def forward(self, works: Iterable[Work], now_s: float) -> None:
        """Rows that a stage forwarded wait for the next one."""
        for work in works:
            if not work.job.is_settled:
                self._enter(work.job, work.rows, work.stage + 1, now_s)

    def _enter(self, job: Job, rows: Rows, stage: int, now_s: float) -> None:
        self._open(job.flow.lane)
        for slot in job.served.stage_slots[stage]:
            member = job.served.slots[slot]
            key = (member, job.shape_key(slot))
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = Queue(member)
            self._push(queue, Work(job, rows, stage, slot, now_s))

    def _push(self, queue: Queue, work: Work) -> None:
        queue.push(work, self._tickets)
        self._tickets += 1

    def _open(self, lane: str) -> None:
        """A lane that comes to work begins with no credit from the time in which it had none."""
        if not any(lane in queue.lanes for queue in self._queues.values()):
            least = min((self._had_s[other] for other in self._waiting_lanes()), default=0.0)
            self._had_s[lane] = max(self._had_s.get(lane, 0.0), least)

    def _waiting_lanes(self) -> set[str]:
        return {lane for queue in self._queues.values() for lane in queue.lanes}

    def finish(self, batch: Batch) -> None:
        """The worker that ran `batch` is free."""
        self._free_workers += 1

    def next_batch(self, now_s: float) -> Batch | None:
        """The batch to run next, or None while no worker is free or nothing waits."""
        while self._free_workers and self._queues:
            key, lane = self._choose(now_s)
            queue = self._queues[key]
            works = list(self._take(queue, lane, now_s))
            if not queue.lanes:
                del self._queues[key]
            if works:
                self._free_workers -= 1
                batch = Batch(queue.member, works, now_s)
                self._charge(batch)
                return batch
        return None

    def _choose(self, now_s: float) -> tuple[QueueKey, str]:
        lane = min(self._waiting_lanes(), key=lambda lane: (self._had_s[lane], lane))
        having = {key: queue for key, queue in self._queues.items() if lane in queue.lanes}
        if len(having) == 1:
            return next(iter(having)), lane
        return min(having, key=lambda key: self._rank(having[key], lane, now_s)), lane

    def _rank(self, queue: Queue, lane: str, now_s: float) -> Rank:
        return self._rule(queue, queue.head(lane), now_s, self._config)

    def _take(self, queue: Queue, first_lane: str, now_s: float) -> Iterator[Work]:
        """Up to a batch of rows; work of settled jobs is dropped, the last work split where it must be."""
        room = self._room(queue.head(first_lane), now_s)
        others = sorted(queue.lanes.keys() - {first_lane}, key=lambda lane: self._had_s[lane])
        for lane in (first_lane, *others):
            while room and lane in queue.lanes:
                work = queue.pop(lane)
                if work.job.is_settled:
                    continue
                if len(work.rows) > room:
                    work, rest = work.split(room)
                    self._push(queue, rest)
                room -= len(work.rows)
                yield work

    def _room(self, head: Work, now_s: float) -> int:
        """Rows that a batch may have: as many as its most urgent one has the time for."""
        most = self._config.max_batch_rows
        curve = _curve(head)
        slack_s = head.job.deadline_s - now_s - MARGIN_S
        if slack_s >= curve.seconds(most):
            return most
        return min(most, max(curve.rows_within(slack_s), curve.worthwhile_rows))

    def _charge(self, batch: Batch) -> None:
        row_s = batch.member.curve.seconds(batch.num_rows) / batch.num_rows
        for work in batch.works:
            self._had_s[work.job.flow.lane] += row_s * len(work.rows)
