"""The batches of a whole training, one after another: rounds of a selection laid end to end."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from training.data.splits import RowNumbers
from training.selection.rules import BatchNumbers, Selection, empty_table, overlap, record


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One batch to train, with its rows of the data set and the round it belongs to.

    round_overlap: how much of the round before its round repeats (Jaccard); None in the first.
    """

    batch: int
    rows: RowNumbers
    round_number: int
    round_overlap: float | None


class BatchPlan:
    """Decides, loads nothing: `next` names the rows to train, `record` takes the loss they had.

    Rows are permuted once, before batches are fixed; the last partial batch is dropped.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        num_rows: int,
        batch_size: int,
        delta: float,
        generator: np.random.Generator,
    ) -> None:
        self.num_batches = num_rows // batch_size
        self._selection = selection
        self._batch_size = batch_size
        self._delta = delta
        self._generator = generator
        self._order = generator.permutation(num_rows)
        self._table = empty_table(self.num_batches)
        self._round_number = -1
        self._round: BatchNumbers | None = None
        self._round_overlap: float | None = None
        self._pending: deque[int] = deque()

    def next(self) -> Visit:
        if not self._pending:
            self._begin_round()
        batch = self._pending.popleft()
        start = batch * self._batch_size
        rows = self._order[start : start + self._batch_size]
        return Visit(
            batch=batch, rows=rows, round_number=self._round_number, round_overlap=self._round_overlap
        )

    def record(self, visit: Visit, loss: float) -> None:
        self._table = record(self._table, visit.batch, loss, visit.round_number)

    def _begin_round(self) -> None:
        chosen = self._selection.choose(self._table, self._delta, self._generator)
        if self._round is not None:
            self._round_overlap = overlap(self._round, chosen)
            if self._selection.reshuffles:
                self._order = self._generator.permutation(self._order)
        self._round = chosen
        self._round_number += 1
        self._pending.extend(chosen.tolist())
