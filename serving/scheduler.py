"""Which rows run next. Pure: takes events and the time, returns batches; no clock, no I/O.

Each member has a queue (one per shape of row, where shapes vary). A worker that is free never waits:
it takes, in this order, from a queue whose head has been passed over for `max_wait_s`, from one that
fills a batch, from any other; among equals, the one whose head belongs to the most urgent job. So rows
of different requests meet again in later stages, and rows in flight go before new ones.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from serving.config import SchedulerConfig
from serving.jobs import Batch, Job, ShapeKey, Work

QueueKey = tuple[str, ShapeKey]


@dataclass(slots=True)
class Queue:
    """Work for one member, most urgent job first."""

    heap: list[tuple[tuple[float, int], int, Work]] = field(default_factory=list)
    num_rows: int = 0

    def push(self, work: Work, ticket: int) -> None:
        heapq.heappush(self.heap, (work.job.order, ticket, work))
        self.num_rows += len(work.rows)

    def pop(self) -> Work:
        work = heapq.heappop(self.heap)[2]
        self.num_rows -= len(work.rows)
        return work

    @property
    def head(self) -> Work:
        return self.heap[0][2]


class Scheduler:
    """Queues and workers. `submit` and `forward` bring rows, `next_batch` takes, `finish` frees a worker."""

    def __init__(self, config: SchedulerConfig) -> None:
        self._config = config
        self._queues: dict[QueueKey, Queue] = {}
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
            self._enter(work.job, work.rows, work.stage + 1, now_s)

    def _enter(
        self, job: Job, rows: np.ndarray[tuple[int], np.dtype[np.intp]], stage: int, now_s: float
    ) -> None:
        for slot in job.served.stage_slots[stage]:
            key = (job.served.slot_keys[slot], job.shape_key)
            queue = self._queues.setdefault(key, Queue())
            queue.push(Work(job, rows, stage, slot, now_s), self._tickets)
            self._tickets += 1

    def finish(self, batch: Batch) -> None:
        """The worker that ran `batch` is free."""
        self._free_workers += 1

    def next_batch(self, now_s: float) -> Batch | None:
        """The batch to run next, or None while no worker is free or nothing waits."""
        while self._free_workers and self._queues:
            key = min(self._queues, key=lambda key: self._urgency(self._queues[key], now_s))
            works = self._take(self._queues[key])
            if not self._queues[key].heap:
                del self._queues[key]
            if works:
                self._free_workers -= 1
                return Batch(key[0], works, now_s)
        return None

    def _urgency(self, queue: Queue, now_s: float) -> tuple[int, tuple[float, int]]:
        head = queue.head
        if now_s - head.entered_s >= self._config.max_wait_s:
            return 0, head.job.order
        return (1 if queue.num_rows >= self._config.max_batch_rows else 2), head.job.order

    def _take(self, queue: Queue) -> list[Work]:
        """Up to a batch of rows; work of settled jobs is dropped, the last work split where it must be."""
        works: list[Work] = []
        room = self._config.max_batch_rows
        while queue.heap and room:
            work = queue.pop()
            if work.job.is_settled:
                continue
            if len(work.rows) > room:
                work, rest = work.split(room)
                queue.push(rest, self._tickets)
                self._tickets += 1
            works.append(work)
            room -= len(work.rows)
        return works
