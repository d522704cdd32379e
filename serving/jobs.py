"""Work in the scheduler's terms: a job is one request under way, a work item some of its rows waiting
for one member, a batch the work items that a member runs at once. Rows are held as index arrays; no
object stands for a single row.
"""

import math
from asyncio import Future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cascade.policy import Policy
from serving.errors import MemberFailed
from serving.members import Member
from serving.scheduling.flows import BACKGROUND_LEVEL, Flow
from serving.served import ServedCascade
from serving.trace_context import Trace

Rows = NDArray[np.intp]
ShapeKey = tuple[tuple[int, ...], ...]
Order = tuple[int, float, int]

LEFT = -1
LAST_CALL_S = 0.003
DEFAULT_LEVEL = 2
LOWEST_LEVEL = 3
PATIENCE_S = 1.0
"""Requests without a deadline are ranked among the others as if they had so long."""


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


@dataclass(slots=True)
class Spent:
    """Seconds: waiting for a worker, gathering inputs, running the member, gating its outputs."""

    queue_s: float = 0.0
    input_s: float = 0.0
    infer_s: float = 0.0
    output_s: float = 0.0

    @property
    def compute_s(self) -> float:
        return self.input_s + self.infer_s + self.output_s

    def add(self, queue_s: float, batch: "Spent", share: float = 1.0) -> None:
        """A share of one's rows waited so long, and then were part of a batch."""
        self.queue_s += share * queue_s
        self.input_s += share * batch.input_s
        self.infer_s += share * batch.infer_s
        self.output_s += share * batch.output_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms a request is served. `deadline_s` is on the monotonic clock; level 1 is the most urgent.

    `is_strict` asks for an error instead of a degraded answer.
    """

    arrived_s: float
    number: int
    deadline_s: float = math.inf
    level: int = DEFAULT_LEVEL
    is_strict: bool = False

    @property
    def last_call_s(self) -> float:
        """When the answer must leave to be there by the deadline: a little before, a fifth of the time given
        at most."""
        if math.isinf(self.deadline_s):
            return self.deadline_s
        return self.deadline_s - min(LAST_CALL_S, (self.deadline_s - self.arrived_s) / 5)

    @property
    def order(self) -> Order:
        """Ranks jobs by urgency: the smaller goes first."""
        return self.level, min(self.deadline_s, self.arrived_s + PATIENCE_S), self.number


class Job:
    """One request under way.

    `outputs[slot]` holds the raw outputs of a member for the rows that it ran, `(rows, classes)`;
    `arrived` counts, per row, the members of its present stage that have answered or failed.
    `lost[row, slot]`, there once a member has failed, says who gave nothing for a row, `loss` why.
    `begins` are the stages at which its rows start, the first for all but those of an audit.
    `last_call_s` is when the answer must leave. `at[stage]` counts the rows that are under way there; `depth`
    is kept where there is a deadline, and holds for each row the stages it has been through, or LEFT.
    `gear` is that of its policy, None where the client chose it. Workers write into `answer`; where the job
    was cut short, what it is answered with is `cut_answer`, which they do not know. `spent` is the mean of
    its rows, over all stages.
    """

    __slots__ = (
        "answer",
        "arrived",
        "at",
        "begins",
        "cut_answer",
        "depth",
        "done",
        "flow",
        "gear",
        "inputs",
        "is_audit",
        "is_degraded",
        "is_strict",
        "last_call_s",
        "level",
        "loss",
        "lost",
        "max_stages",
        "num_bytes",
        "num_rows",
        "order",
        "outputs",
        "policy",
        "policy_name",
        "remaining",
        "request_id",
        "served",
        "spent",
        "trace",
    )

    def __init__(
        self,
        served: ServedCascade,
        policy_name: str,
        policy: Policy,
        max_stages: int | None,
        inputs: Mapping[str, NDArray[np.generic]],
        terms: Terms,
        gear: int | None = None,
        request_id: str = "",
    ) -> None:
        self.served = served
        self.request_id = request_id
        self.gear = gear
        self.policy_name = policy_name
        self.policy = policy
        self.max_stages = max_stages
        self.inputs = inputs
        self.order = terms.order
        self.last_call_s = terms.last_call_s
        self.is_strict = terms.is_strict
        self.level = terms.level
        self.flow: Flow = served.flow(policy_name, policy, max_stages, terms.level)
        self.num_rows = len(next(iter(inputs.values())))
        self.num_bytes = sum(map(_num_bytes, inputs.values()))
        self.remaining = self.num_rows
        self.begins: Sequence[tuple[int, Rows]] = ((0, np.arange(self.num_rows)),)
        self.at = [0] * served.num_stages
        self.depth = None if math.isinf(terms.deadline_s) else np.zeros(self.num_rows, np.int8)
        self.answer = Answer(self.num_rows, served.num_classes)
        self.cut_answer: Answer | None = None
        self.outputs: list[NDArray[np.floating] | None] = [None] * len(served.slots)
        self.arrived = np.zeros(self.num_rows, np.int16)
        self.lost: NDArray[np.bool_] | None = None
        self.loss: MemberFailed | None = None
        self.is_degraded = False
        self.is_audit = terms.level == BACKGROUND_LEVEL
        self.spent = Spent()
        self.done: Future[None] | None = None
        self.trace: Trace | None = None

    def flow_in(self, gear: int) -> Flow:
        """The one that its rows would travel in."""
        named = self.served.policy(self.served.cascade.gears[gear])
        return self.served.flow(*named, self.max_stages, self.level)

    def engage(self, gear: int) -> None:
        """Take the policy of this gear, before any row is under way."""
        self.gear, self.flow = gear, self.flow_in(gear)
        self.policy_name, self.policy = self.served.policy(self.served.cascade.gears[gear])

    @property
    def final_answer(self) -> Answer:
        return self.cut_answer or self.answer

    @property
    def is_settled(self) -> bool:
        """Answered, failed, or given up by its client: its waiting rows need not run."""
        return self.done is not None and self.done.done()

    def settle(self, error: Exception | None = None) -> None:
        """It is answered, or has failed. Once: who comes later changes nothing."""
        if self.done is None or self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)

    def shape_key(self, slot: int) -> ShapeKey:
        """Rows of equal shape share a batch; empty where all rows of the cascade have the same."""
        if not self.served.has_variable_rows:
            return ()
        return tuple(self.inputs[name].shape[1:] for _, name in self.served.slot_inputs[slot])


def _num_bytes(array: NDArray[np.generic]) -> int:
    return sum(map(len, array.ravel().tolist())) if array.dtype == np.object_ else array.nbytes


@dataclass(slots=True)
class Work:
    """Rows of one job waiting for the member in `slot`, which is part of `stage` (from 0)."""

    job: Job
    rows: Rows
    stage: int
    slot: int
    entered_s: float

    def split(self, num_rows: int) -> tuple["Work", Rows]:
        """The first rows, as work of their own, and the others."""
        first = Work(self.job, self.rows[:num_rows], self.stage, self.slot, self.entered_s)
        return first, self.rows[num_rows:]


@dataclass(slots=True, eq=False)
class Batch:
    """What one member runs at once: rows of any requests, stages and policies."""

    member: Member
    works: list[Work]
    give_up_s: float = math.inf
    num_rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_rows = sum(len(work.rows) for work in self.works)

    @property
    def last_call_s(self) -> float:
        """After it nobody waits for any of the rows any more."""
        return max(work.job.last_call_s for work in self.works)

    @property
    def deadline_s(self) -> float:
        """When the member may stop: a little after the last call, when all jobs have been answered."""
        return min(self.give_up_s, self.last_call_s + LAST_CALL_S)
