"""Which rows run next. Pure: takes events and the time, returns batches; no clock, no I/O.

Each member has a queue (one per shape of row, where shapes vary), and in it a lane for each cascade. Members
of one pool share its workers, so that one that hangs takes only those of its own. A worker that is free never
waits. It serves the lane that has had the least so far, so that a flood of one
cascade does not starve another, and takes from the queue that the rule puts first. What room the lane
leaves in the batch goes to other lanes' rows.

Within a queue the earliest deadline goes first. Among queues it is the one with the most urgent level of
priority, then the one where somebody has waited longest. So rows of different requests meet again in later
stages, whose batches grow by themselves when there is much to do. Rules that look at more, at deadlines, at
the stage, at how efficient a batch would be, were no better or worse, some of them much: see
`benchmarks/scheduling.py`.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from serving.config import SchedulerConfig
from serving.jobs import Batch, Job, Order, Rows, ShapeKey, Work
from serving.members import Member
from serving.scheduling.curves import LearntCurve
from serving.scheduling.flows import BACKGROUND_LANE

QueueKey = tuple[Member, ShapeKey]
Rank = tuple[float, ...]


class Lane:
    """One cascade's work for one member, by urgency and by arrival.

    `_waiting` is in the order of arrival. What leaves it otherwise than by `take` is passed over in the heap,
    which holds no work itself.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Work] = {}
        self._heap: list[tuple[Order, int]] = []
        self.num_rows = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def head(self) -> Work:
        """The most urgent."""
        while self._heap[0][1] not in self._waiting:
            heapq.heappop(self._heap)
        return self._waiting[self._heap[0][1]]

    @property
    def waiting(self) -> Iterable[Work]:
        return self._waiting.values()

    @property
    def oldest_s(self) -> float:
        """When the work entered that has waited longest."""
        return next(iter(self._waiting.values())).entered_s

    def push(self, work: Work, ticket: int) -> None:
        heapq.heappush(self._heap, (work.job.order, ticket))
        self._waiting[ticket] = work
        self.num_rows += len(work.rows)

    def take(self, room: int) -> Work:
        """The most urgent work, or as many of its rows as there is room for; the others keep its place."""
        head = self.head
        if len(head.rows) > room:
            taken, head.rows = head.split(room)
        else:
            taken = self._waiting.pop(heapq.heappop(self._heap)[1])
        self.num_rows -= len(taken.rows)
        return taken

    def discard(self, job: Job) -> None:
        """Let go of all rows of a job."""
        for ticket in [ticket for ticket, work in self._waiting.items() if work.job is job]:
            self.num_rows -= len(self._waiting.pop(ticket).rows)
        if len(self._heap) > 2 * len(self._waiting) + 16:
            self._heap = [entry for entry in self._heap if entry[1] in self._waiting]
            heapq.heapify(self._heap)


@dataclass(slots=True)
class Queue:
    """Work for one member, by lane; a lane is here while it has some."""

    member: Member
    lanes: dict[str, Lane] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        return sum(lane.num_rows for lane in self.lanes.values())

    def push(self, work: Work, ticket: int) -> None:
        lane = self.lanes.get(work.job.flow.lane)
        if lane is None:
            lane = self.lanes[work.job.flow.lane] = Lane()
        lane.push(work, ticket)

    def take(self, name: str, room: int) -> Work:
        lane = self.lanes[name]
        work = lane.take(room)
        if not lane:
            del self.lanes[name]
        return work

    def discard(self, job: Job) -> None:
        lane = self.lanes.get(job.flow.lane)
        if lane is not None:
            lane.discard(job)
            if not lane:
                del self.lanes[job.flow.lane]


Rule = Callable[[Queue, Lane, float, SchedulerConfig], Rank]
Admits = Callable[[Member, float], bool]
"""Whether a member takes rows now."""


def any_member(member: Member, now_s: float) -> bool:
    return True


def longest_waiting_first(queue: Queue, lane: Lane, now_s: float, config: SchedulerConfig) -> Rank:
    """The rule above, as a rank: the smallest goes first."""
    level, due_s, number = lane.head.job.order
    return level, lane.oldest_s, due_s, number


def _curve(work: Work) -> LearntCurve:
    return work.job.served.slots[work.slot].curve


class Scheduler:
    """Queues and workers. `submit` and `forward` bring rows, `discard` lets go of them, `next_batch` takes,
    `finish` frees a worker.

    Rows for a member that `admits` none are not queued but given back, once for each such member.

    Lanes have their turn by start-time fair queueing: `_had_s` is how much of the workers' time each has had,
    `_virtual_s` the most that any had when its turn came.
    """

    def __init__(
        self, config: SchedulerConfig, rule: Rule = longest_waiting_first, admits: Admits = any_member
    ) -> None:
        self._config = config
        self._rule = rule
        self._admits = admits
        self._queues: dict[QueueKey, Queue] = {}
        self._had_s: dict[str, float] = {}
        self._virtual_s = 0.0
        self._busy: Counter[str] = Counter()
        self._tickets = 0

    @property
    def queued_rows(self) -> int:
        return sum(queue.num_rows for queue in self._queues.values())

    def submit(self, job: Job, now_s: float) -> list[Work]:
        """All rows of a new job wait for the stage at which they begin."""
        turned_away: list[Work] = []
        for stage, rows in job.begins:
            turned_away += self._enter(job, rows, stage, now_s)
        return turned_away

    def forward(self, works: Iterable[Work], now_s: float) -> list[Work]:
        """Rows that a stage forwarded wait for the next one."""
        turned_away: list[Work] = []
        for work in works:
            if not work.job.is_settled:
                turned_away += self._enter(work.job, work.rows, work.stage + 1, now_s)
        return turned_away

    def _enter(self, job: Job, rows: Rows, stage: int, now_s: float) -> list[Work]:
        self._open(job.flow.lane)
        turned_away = []
        for slot in job.served.stage_slots[stage]:
            member = job.served.slots[slot]
            work = Work(job, rows, stage, slot, now_s)
            if self._admits(member, now_s):
                self._queue(member, job.shape_key(slot)).push(work, self._ticket())
            else:
                turned_away.append(work)
        return turned_away

    def _queue(self, member: Member, shape: ShapeKey) -> Queue:
        queue = self._queues.get((member, shape))
        if queue is None:
            queue = self._queues[member, shape] = Queue(member)
        return queue

    def take_back(self, member: Member) -> list[Work]:
        """All that waits for a member that takes no rows any more."""
        taken: list[Work] = []
        for key in [key for key in self._queues if key[0] is member]:
            queue = self._queues.pop(key)
            taken += [work for lane in queue.lanes.values() for work in lane.waiting]
        return taken

    def _ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def _open(self, lane: str) -> None:
        """A lane that comes to work begins with no credit from the time in which it had none."""
        if not any(lane in queue.lanes for queue in self._queues.values()):
            self._had_s[lane] = max(self._had_s.get(lane, 0.0), self._virtual_s)

    def discard(self, job: Job) -> None:
        """The job is over; its rows that wait need not run."""
        for key, queue in list(self._queues.items()):
            queue.discard(job)
            if not queue.lanes:
                del self._queues[key]

    def finish(self, batch: Batch) -> None:
        """The worker that ran `batch` is free."""
        self._busy[batch.member.pool] -= 1

    def next_batch(self, now_s: float) -> Batch | None:
        """The batch to run next, or None while no worker is free for what waits."""
        ready = [key for key in self._queues if self._busy[key[0].pool] < self._config.num_workers]
        if not ready:
            return None
        key, lane = self._choose(ready, now_s)
        queue = self._queues[key]
        batch = Batch(queue.member, list(self._take(queue, lane, now_s)))
        if not queue.lanes:
            del self._queues[key]
        self._busy[batch.member.pool] += 1
        self._virtual_s = max(self._virtual_s, self._had_s[lane])
        self._charge(batch)
        return batch

    def _choose(self, ready: Sequence[QueueKey], now_s: float) -> tuple[QueueKey, str]:
        lanes = {lane for key in ready for lane in self._queues[key].lanes}
        lane = min(lanes, key=self._turn)
        having = [key for key in ready if lane in self._queues[key].lanes]
        if len(having) == 1:
            return having[0], lane
        return min(having, key=lambda key: self._rank(self._queues[key], lane, now_s)), lane

    def _turn(self, lane: str) -> tuple[bool, float, str]:
        """Who has had the least; what nobody waits for comes last."""
        return lane == BACKGROUND_LANE, self._had_s[lane], lane

    def _rank(self, queue: Queue, lane: str, now_s: float) -> Rank:
        return self._rule(queue, queue.lanes[lane], now_s, self._config)

    def _take(self, queue: Queue, first_lane: str, now_s: float) -> Iterator[Work]:
        """Up to a batch of rows; the last work is split where it must be."""
        room = self._room(queue.lanes[first_lane].head, now_s)
        others = sorted(queue.lanes.keys() - {first_lane}, key=self._turn)
        for lane in (first_lane, *others):
            while room and lane in queue.lanes:
                work = queue.take(lane, room)
                room -= len(work.rows)
                yield work

    def _room(self, head: Work, now_s: float) -> int:
        """Rows that a batch may have: as many as its most urgent one has the time for."""
        most = self._config.max_batch_rows
        curve = _curve(head)
        slack_s = head.job.last_call_s - now_s
        if slack_s >= curve.seconds(most):
            return most
        return min(most, max(curve.rows_within(slack_s), curve.worthwhile_rows))

    def _charge(self, batch: Batch) -> None:
        row_s = batch.member.curve.seconds(batch.num_rows) / batch.num_rows
        for work in batch.works:
            self._had_s[work.job.flow.lane] += row_s * len(work.rows)
