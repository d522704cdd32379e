"""Updates whose rows are chosen among candidates that have just been run forward."""

import numpy as np

from training.data.splits import RowNumbers
from training.plan import Rounds, Score, Snapshot, Visit, read_table, table_arrays
from training.selection.candidates import HISTORY, backpropagated, pool_size, top
from training.selection.config import SelectionConfig
from training.selection.registry import TOP_K
from training.selection.table import Floats, empty_table

NO_ROWS = np.zeros(0, dtype=np.int64)


class CandidatePlan:
    """Candidates come from passes over the rows, each in a new order; a round is such a pass.

    `top-k` trains the batch of highest loss out of batch size / delta candidates. `selective-backprop` keeps
    candidates by chance and trains them as soon as a batch of them has been kept. In the last `finish` of the
    budget every row is trained as it comes.
    """

    def __init__(
        self, config: SelectionConfig, *, num_rows: int, batch_size: int, generator: np.random.Generator
    ) -> None:
        self.num_batches = num_rows // batch_size
        self.table = empty_table(num_rows)
        self._config = config
        self._batch_size = batch_size
        self._generator = generator
        self._pool_size = min(pool_size(batch_size, config.delta), num_rows)
        self._rounds = Rounds(num_rows=num_rows)
        self._stream = NO_ROWS
        self._kept = NO_ROWS
        self._history = np.zeros(0)
        self._trained = np.zeros(num_rows, dtype=np.bool)
        self._pass_number = 0

    def next(self, progress: float, score: Score) -> Visit:
        if progress >= 1 - self._config.finish:
            rows, num_scored = self._draw(self._batch_size), 0
        elif self._config.name == TOP_K:
            rows, num_scored = self._pick(score)
        else:
            rows, num_scored = self._collect(score)
        self._trained[rows] = True
        return Visit(
            rows=rows,
            round_number=self._pass_number,
            round_overlap=self._rounds.overlap,
            num_scored=num_scored,
        )

    def record(self, visit: Visit, losses: Floats) -> None:
        self.table.record(visit.rows, losses, visit.round_number)

    def take_out(self) -> Snapshot:
        rounds = self._rounds.take_out()
        arrays = {
            "stream": self._stream,
            "kept": self._kept,
            "history": self._history,
            "trained": self._trained,
        }
        document = {"pass": self._pass_number, "generator": self._generator.bit_generator.state}
        return Snapshot(
            arrays=arrays | rounds.arrays | table_arrays(self.table), document=rounds.document | document
        )

    def put_back(self, snapshot: Snapshot) -> None:
        arrays = snapshot.arrays
        self.table = read_table(arrays)
        self._rounds.put_back(snapshot)
        self._stream, self._kept, self._history = (arrays[name] for name in ("stream", "kept", "history"))
        self._trained = arrays["trained"].astype(np.bool)
        self._pass_number = snapshot.document["pass"]
        self._generator.bit_generator.state = snapshot.document["generator"]

    def _pick(self, score: Score) -> tuple[RowNumbers, int]:
        pool = self._draw(self._pool_size)
        return pool[top(score(pool), self._batch_size)], len(pool)

    def _collect(self, score: Score) -> tuple[RowNumbers, int]:
        num_scored = 0
        while len(self._kept) < self._batch_size:
            candidates = self._draw(self._batch_size)
            losses = score(candidates)
            num_scored += len(candidates)
            self._history = np.concatenate([self._history, losses])[-HISTORY:]
            kept = backpropagated(losses, self._history, self._config.delta, self._generator)
            self._kept = np.concatenate([self._kept, candidates[kept]])
        rows, self._kept = np.split(self._kept, [self._batch_size])
        return rows, num_scored

    def _draw(self, num_rows: int) -> RowNumbers:
        """The next candidates, all different: what is left of a pass is left out where it is too little."""
        if len(self._stream) < num_rows:
            self._begin_pass()
        rows, self._stream = np.split(self._stream, [num_rows])
        return rows

    def _begin_pass(self) -> None:
        if self._trained.any():
            self._rounds.begin(np.flatnonzero(self._trained))
            self._trained[:] = False
            self._pass_number += 1
        self._stream = self._generator.permutation(len(self._trained))
