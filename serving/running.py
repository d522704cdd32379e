"""A batch on a worker's thread: gather its rows, run the member, gate what comes out."""

import logging
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.errors import MemberDown, MemberFailed, RowsRefused
from serving.gate import Gate, Gated, gather
from serving.jobs import Batch, Spent

log = logging.getLogger("exitgate")
MOST_FAILED_RUNS = 8
"""In a batch without one between them that succeeded, until no half is tried any more: a bad request among
64 is found by then, and a member that takes nothing at all is not asked for each. One that says that it
refuses rows is well."""


@dataclass(slots=True)
class Ran:
    """What became of a batch, when it began and ended, and what it took."""

    batch: Batch
    gated: Gated
    started_s: float
    ended_s: float
    spent: Spent

    @property
    def has_failed(self) -> bool:
        """Most of it: of a few rows the fault may be their own, of rows that were refused it is."""
        lost = self.gated.lost
        num_failed = sum(len(work.rows) for work, error in lost if not isinstance(error, RowsRefused))
        return 2 * num_failed > self.batch.num_rows


def run_batch(batch: Batch, gate: Gate) -> Ran:
    """Never raises: whoever waits for the rows is told."""
    started_s, run = time.monotonic(), _Run(batch, gate)
    try:
        gated = run.through(batch)
    except Exception as error:  # a bug, and still the requests of the batch must be told
        log.exception("a batch for %s failed", batch.member.key)
        kind = type(error).__name__
        told = MemberFailed(f"internal error in a batch for member {batch.member.key!r}: {kind}")
        gated = Gated(
            lost=[(work, told) for work in batch.works], failed=[(work.job, told) for work in batch.works]
        )
    return Ran(batch, gated, started_s, time.monotonic(), run.spent)


class _Run:
    def __init__(self, batch: Batch, gate: Gate) -> None:
        self._deadline_s = batch.deadline_s
        self._gate = gate
        self._num_failed = 0
        self.spent = Spent()

    def through(self, batch: Batch) -> Gated:
        """A batch that fails is halved until what the member cannot bear is one request's alone, and harms no
        neighbour; but not where the member is down."""
        try:
            outputs = self._outputs(batch)
        except MemberFailed as error:
            self._num_failed += not isinstance(error, RowsRefused)
            is_down = isinstance(error, MemberDown) or self._num_failed >= MOST_FAILED_RUNS
            if is_down or len(batch.works) == 1:
                return self._gate.lose(batch.works, error)
            middle = len(batch.works) // 2
            gated = self.through(Batch(batch.member, batch.works[:middle]))
            gated.add(self.through(Batch(batch.member, batch.works[middle:])))
            return gated
        self._num_failed = 0
        begun_s = time.monotonic()
        gated = self._gate.pass_through(batch, outputs)
        self.spent.output_s += time.monotonic() - begun_s
        return gated

    def _outputs(self, batch: Batch) -> NDArray[np.floating]:
        began_s = time.monotonic()
        inputs = gather(batch)
        gathered_s = time.monotonic()
        self.spent.input_s += gathered_s - began_s
        try:
            return batch.member.run(inputs, self._deadline_s)
        except MemberFailed:
            raise
        except Exception as error:  # a bug in what runs it: for the rows the same as a member that fails
            log.exception("a batch for %s failed", batch.member.key)
            kind = type(error).__name__
            raise MemberFailed(f"internal error of member {batch.member.key!r}: {kind}") from error
        finally:
            self.spent.infer_s += time.monotonic() - gathered_s
