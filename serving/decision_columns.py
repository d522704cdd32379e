"""From answered requests to the columns of the decision log, on the writer's thread."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cascade.decision import ExitReason
from cascade.decision_log import arrow, schema
from serving.audits import Audit
from serving.jobs import Job
from serving.served import ServedCascade

REASONS = [ExitReason(code).wire_name for code in range(len(ExitReason))]
COMPLETE = [
    ExitReason.WINDOW,
    ExitReason.THRESHOLD,
    ExitReason.AGREEMENT,
    ExitReason.FIRST,
    ExitReason.LAST,
    ExitReason.MAX_STAGES,
]
"""Of the rows of a degraded answer, those that left for one of these are not degraded."""
IS_COMPLETE = np.isin(np.arange(256), COMPLETE)

REQUEST_BYTES = 1024
ROW_BYTES = 32
"""What a request and each of its rows take, about, until they are columns."""


class Kind(NamedTuple):
    """What the rows of a request have in common, and most requests with others."""

    served: ServedCascade
    policy: str
    max_stages: int | None
    gear: int | None
    is_degraded: bool


class Decided:
    """One answered request, by what its rows came to. Arrays are the answer's own, which nobody writes to any
    more; inputs and probabilities are let go."""

    __slots__ = (
        *("accepted", "audit", "confidence", "exit_reason", "exit_stage", "kind", "label", "lost"),
        *("request_id", "score", "time_us"),
    )

    def __init__(self, job: Job, request_id: str, time_us: int, audit: Audit | None) -> None:
        answer = job.final_answer
        self.time_us = time_us
        self.request_id = request_id
        self.kind = Kind(job.served, job.policy_name, job.max_stages, job.gear, job.is_degraded)
        self.lost = job.lost
        self.audit = audit
        self.label = answer.label
        self.score = answer.score
        self.confidence = answer.confidence
        self.accepted = answer.accepted
        self.exit_stage = answer.exit_stage
        self.exit_reason = answer.exit_reason

    @property
    def num_bytes(self) -> int:
        return REQUEST_BYTES + len(self.request_id) + ROW_BYTES * len(self.label)


def as_batch(decided: Sequence[Decided]) -> Any:
    """An Arrow batch of all their rows, in order."""
    pa = arrow()
    num_rows = np.array([len(one.label) for one in decided])
    first = np.cumsum(num_rows) - num_rows
    of = np.repeat(np.arange(len(decided)), num_rows)
    kinds: dict[Kind, int] = {}
    kind = np.array([kinds.setdefault(one.kind, len(kinds)) for one in decided])[of]
    exit_stage, exit_reason = _joined(decided, "exit_stage"), _joined(decided, "exit_reason")
    audited, audit_label = _audits(decided, first, len(of))
    times = np.array([one.time_us for one in decided], "datetime64[us]")
    columns = {
        "time": times[of],
        "request_id": _texts([one.request_id for one in decided], of),
        "row": np.arange(len(of)) - first[of],
        "model": _names([each.served.name for each in kinds], kind),
        "cascade_version": _names([each.served.version for each in kinds], kind),
        "policy": _names([each.policy for each in kinds], kind),
        "members": _members(decided, first, list(kinds), kind, exit_stage),
        "label": _joined(decided, "label"),
        "score": _joined(decided, "score"),
        "confidence": _joined(decided, "confidence"),
        "accepted": _joined(decided, "accepted"),
        "exit_stage": exit_stage,
        "exit_reason": _names(REASONS, exit_reason),
        "degraded": np.array([each.is_degraded for each in kinds])[kind] & ~IS_COMPLETE[exit_reason],
        "max_stages": _numbers([each.max_stages for each in kinds], kind),
        "gear": _numbers([each.gear for each in kinds], kind),
        "audited": audited,
        "audit_label": pa.array(audit_label, mask=~audited),
    }
    fields = schema()
    arrays = [_array(columns[field.name], field.type) for field in fields]
    return pa.RecordBatch.from_arrays(arrays, schema=fields)


def _array(column: Any, kind: Any) -> Any:
    return arrow().array(column, kind) if isinstance(column, np.ndarray) else column


def _joined(decided: Sequence[Decided], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(one, name) for one in decided])


def _texts(values: list[str], of: NDArray[np.intp]) -> Any:
    """One value a request; `of[row]` is the row's request."""
    pa = arrow()
    texts = pa.array(values, pa.string())
    return texts if len(of) == len(values) else texts.take(pa.array(of))


def _names(values: Sequence[str], place: NDArray[np.integer]) -> Any:
    """Of each row the value at its place, dictionary encoded; values may be alike."""
    pa = arrow()
    codes: dict[str, int] = {}
    code = np.array([codes.setdefault(value, len(codes)) for value in values], np.int32)
    return pa.DictionaryArray.from_arrays(code[place], pa.array(list(codes), pa.string()))


def _numbers(values: Sequence[int | None], place: NDArray[np.integer]) -> Any:
    """Of each row the number at its place, or null."""
    numbers = np.array([0 if value is None else value for value in values], np.int32)
    is_null = np.array([value is None for value in values])
    return arrow().array(numbers[place], mask=is_null[place])


def _members(
    decided: Sequence[Decided],
    first: NDArray[np.intp],
    kinds: Sequence[Kind],
    kind: NDArray[np.intp],
    exit_stage: NDArray[np.int32],
) -> Any:
    """Which members each row's answer rests on: those of its stages that gave something. `first` is where
    each request's rows begin."""
    names: list[str] = []
    begin = []
    for each in kinds:
        begin.append(len(names))
        names += [_named(each.served, range(slots.stop)) for slots in each.served.stage_slots]
    place = np.array(begin)[kind] + exit_stage - 1
    for one, start in zip(decided, first, strict=True):
        if one.lost is not None:
            place[start : start + len(one.label)] = _without_lost(one, one.lost, names)
    return _names(names, place)


def _without_lost(one: Decided, lost: NDArray[np.bool_], names: list[str]) -> NDArray[np.intp]:
    """Places among the names, to which those of this request are added; rows that ended alike are named at
    once."""
    ends, which = np.unique(np.column_stack([one.exit_stage, lost]), axis=0, return_inverse=True)
    first = len(names)
    for exit_stage, *is_lost in ends.tolist():
        slots = one.kind.served.stage_slots[exit_stage - 1].stop
        names.append(_named(one.kind.served, [slot for slot in range(slots) if not is_lost[slot]]))
    return first + which.reshape(-1)


def _named(served: ServedCascade, slots: Sequence[int]) -> str:
    return ",".join(served.slots[slot].key for slot in slots)


def _audits(
    decided: Sequence[Decided], first: NDArray[np.intp], num_rows: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which rows were audited, and what came of it. `first` is where each request's rows begin."""
    audited, label = np.zeros(num_rows, np.bool_), np.zeros(num_rows, np.int64)
    for one, start in zip(decided, first, strict=True):
        if one.audit is not None:
            audited[start + one.audit.rows] = True
            label[start + one.audit.rows] = one.audit.label
    return audited, label
