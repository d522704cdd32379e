"""What became of every request of an open loop, and of every row of it. Failures are samples too."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import WireError
from loadtest.generator.open_loop import OpenLoopRun, Times
from loadtest.traffic.schedule import Schedule
from loadtest.wire.client import MISREAD, Client, Reply, Status
from loadtest.wire.rows import Rows, read_rows
from loadtest.wire.served import ServedModel

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RequestSamples:
    """All (requests,). Times are seconds from the start of the block, `sent_s` NaN where a request was never
    sent. `exit_stage` is the deepest at which a row of the request left, 0 without an answer."""

    block: NDArray[np.int32]
    intended_s: Times
    ready_s: Times
    sent_s: Times
    done_s: Times
    status: NDArray[np.int8]
    num_rows: NDArray[np.int32]
    exit_stage: NDArray[np.int32]
    degraded: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.intended_s)

    @property
    def is_answered(self) -> NDArray[np.bool_]:
        return np.equal(self.status, Status.OK)

    @property
    def latency_ms(self) -> Times:
        """From the intended send, so that waiting to be sent counts. Infinite without an answer, however
        soon the request failed: a server that sheds its load must not look fast."""
        return np.where(self.is_answered, (self.done_s - self.intended_s) * 1e3, np.inf)

    @property
    def service_ms(self) -> Times:
        """From the real send, NaN where there was none; infinite without an answer."""
        taken_ms = (self.done_s - self.sent_s) * 1e3
        return np.where(self.is_answered | np.isnan(taken_ms), taken_ms, np.inf)

    @property
    def lag_ms(self) -> Times:
        """How late the generator itself was."""
        return (self.ready_s - self.intended_s) * 1e3


@dataclass(frozen=True, kw_only=True)
class RowSamples:
    """All (rows,), in the order of the requests: `request` is the number of the request, `sample` of the row
    among the samples. Label -1 and exit stage 0 where there was no answer."""

    request: NDArray[np.int64]
    sample: NDArray[np.int64]
    label: NDArray[np.int64]
    exit_stage: NDArray[np.int32]
    accepted: NDArray[np.bool_]
    confidence: NDArray[np.float32]


@dataclass(frozen=True)
class LoadSamples:
    """Requests and their rows. `first_failure` is what was said of the first request that has no answer."""

    requests: RequestSamples
    rows: RowSamples
    first_failure: str = ""

    def __len__(self) -> int:
        return len(self.requests)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return _arrays(self.requests) | {f"row_{name}": array for name, array in _arrays(self.rows).items()}


def load_samples(
    run: OpenLoopRun, schedule: Schedule, client: Client, served: ServedModel, block: int = 0
) -> LoadSamples:
    """Read the replies, the clock having stopped. One that can't be read becomes BROKEN."""
    counts = schedule.num_rows
    answers = [_read(reply, client, served, int(n)) for reply, n in zip(run.replies, counts, strict=True)]
    status = np.array([reply.status for reply in run.replies], np.int8)
    unread = np.array([rows is None for rows, _ in answers], np.bool_)
    status[unread & (status == Status.OK)] = Status.BROKEN
    rows = _row_samples(schedule, [rows for rows, _ in answers])
    exit_stage = np.zeros(len(status), np.int32)
    np.maximum.at(exit_stage, rows.request, rows.exit_stage)
    details = (
        reply.detail or "an answer that can't be read" for reply in np.array(run.replies, object)[unread]
    )
    return LoadSamples(
        RequestSamples(
            block=np.full(len(status), block, np.int32),
            intended_s=run.intended_s,
            ready_s=run.ready_s,
            sent_s=run.sent_s,
            done_s=run.done_s,
            status=status,
            num_rows=counts.astype(np.int32),
            exit_stage=exit_stage,
            degraded=np.array([degraded for _, degraded in answers], np.bool_),
        ),
        rows,
        next(details, ""),
    )


def _read(reply: Reply, client: Client, served: ServedModel, num_rows: int) -> tuple[Rows | None, bool]:
    if reply.status is not Status.OK:
        return None, False
    try:
        answer = client.decode(reply)
        return read_rows(answer, served, num_rows), answer.is_degraded
    except (WireError, *MISREAD):
        return None, False


def _row_samples(schedule: Schedule, answers: Sequence[Rows | None]) -> RowSamples:
    total = len(schedule.rows)
    label, exit_stage = np.full(total, -1, np.int64), np.zeros(total, np.int32)
    accepted, confidence = np.zeros(total, np.bool_), np.full(total, np.nan, np.float32)
    for begin, end, rows in zip(schedule.offsets[:-1], schedule.offsets[1:], answers, strict=True):
        if rows is not None:
            part = slice(int(begin), int(end))
            label[part], exit_stage[part] = rows.label, rows.exit_stage
            accepted[part], confidence[part] = rows.accepted, rows.confidence
    return RowSamples(
        request=np.repeat(np.arange(len(answers)), schedule.num_rows),
        sample=schedule.rows,
        label=label,
        exit_stage=exit_stage,
        accepted=accepted,
        confidence=confidence,
    )


def joined(parts: Sequence[LoadSamples]) -> LoadSamples:
    """Blocks one after the other; requests are numbered on."""
    starts = np.cumsum([0, *(len(part) for part in parts)])
    rows = _concatenated(RowSamples, [part.rows for part in parts])
    request = [part.rows.request + start for part, start in zip(parts, starts, strict=False)]
    return LoadSamples(
        _concatenated(RequestSamples, [part.requests for part in parts]),
        RowSamples(**(_arrays(rows) | {"request": np.concatenate(request)})),
        next((part.first_failure for part in parts if part.first_failure), ""),
    )


def interleaved(parts: Sequence[LoadSamples]) -> LoadSamples:
    """The shares of generator processes, of which part i has the requests i, i + parts, ... of a schedule."""
    whole = joined(parts)
    number = np.concatenate([np.arange(len(part)) * len(parts) + i for i, part in enumerate(parts)])
    order = np.argsort(number, kind="stable")
    row_order = np.argsort(number[whole.rows.request], kind="stable")
    rows = {name: array[row_order] for name, array in _arrays(whole.rows).items()}
    rows["request"] = number[whole.rows.request][row_order]
    requests = {name: array[order] for name, array in _arrays(whole.requests).items()}
    return LoadSamples(RequestSamples(**requests), RowSamples(**rows), whole.first_failure)


def _arrays(samples: Any) -> dict[str, NDArray[Any]]:
    return {field.name: getattr(samples, field.name) for field in fields(samples)}


def _concatenated(kind: type[T], parts: Sequence[T]) -> T:
    arrays = [_arrays(part) for part in parts]
    return kind(**{name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]})
