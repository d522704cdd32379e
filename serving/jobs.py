"""Work in the scheduler's terms: a job is one request under way, a work item some of its rows waiting
for one member, a batch the work items that a member runs at once. Rows are held as index arrays; no
object stands for a single row.
"""

from asyncio import Future
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cascade.policy import Policy
from serving.registry import ServedCascade

Rows = NDArray[np.intp]
ShapeKey = tuple[tuple[int, ...], ...]


class Answer:
    """The answer of a job, filled in as its rows exit."""

    __slots__ = ("accepted", "confidence", "exit_reason", "exit_stage", "label", "probabilities", "score")

    def __init__(self, rows: int, classes: int) -> None:
        self.probabilities = np.empty((rows, classes), np.float32)
        self.label = np.empty(rows, np.int64)
        self.score = np.empty(rows, np.float32)
        self.confidence = np.empty(rows, np.float32)
        self.accepted = np.empty(rows, np.bool_)
        self.exit_stage = np.empty(rows, np.int32)
        self.exit_reason = np.empty(rows, np.uint8)


class Job:
    """One request under way.

    `outputs[slot]` holds the raw outputs of a member for the rows that it ran, `(rows, classes)`;
    `arrived` counts, per row, the members of its present stage that have answered. `order` ranks jobs by
    urgency: the smaller goes first.
    """

    __slots__ = (
        "answer",
        "arrived",
        "done",
        "inputs",
        "max_stages",
        "num_rows",
        "order",
        "outputs",
        "policy",
        "policy_name",
        "remaining",
        "served",
        "shape_key",
    )

    def __init__(
        self,
        served: ServedCascade,
        policy_name: str,
        policy: Policy,
        max_stages: int | None,
        inputs: Mapping[str, NDArray[np.generic]],
        order: tuple[float, int],
    ) -> None:
        self.served = served
        self.policy_name = policy_name
        self.policy = policy
        self.max_stages = max_stages
        self.inputs = inputs
        self.order = order
        self.shape_key: ShapeKey = tuple(array.shape[1:] for array in inputs.values())
        self.num_rows = len(next(iter(inputs.values())))
        self.remaining = self.num_rows
        self.answer = Answer(self.num_rows, served.num_classes)
        self.outputs: list[NDArray[np.floating] | None] = [None] * len(served.slot_keys)
        self.arrived = np.zeros(self.num_rows, np.int16)
        self.done: Future[None] | None = None

    @property
    def is_settled(self) -> bool:
        """Answered, failed, or given up by its client: its waiting rows need not run."""
        return self.done is not None and self.done.done()


@dataclass(slots=True)
class Work:
    """Rows of one job waiting for the member in `slot`, which is part of `stage` (from 0)."""

    job: Job
    rows: Rows
    stage: int
    slot: int
    entered_s: float

    def split(self, num_rows: int) -> tuple["Work", "Work"]:
        first = Work(self.job, self.rows[:num_rows], self.stage, self.slot, self.entered_s)
        return first, Work(self.job, self.rows[num_rows:], self.stage, self.slot, self.entered_s)


@dataclass(slots=True)
class Batch:
    """What one member runs at once: rows of any requests, stages and policies."""

    member: str
    works: list[Work]
    formed_s: float
    num_rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_rows = sum(len(work.rows) for work in self.works)
