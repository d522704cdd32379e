"""Rounds of a rule that looks at the loss table alone, laid end to end."""

from collections.abc import Callable

import numpy as np

from training.data.splits import RowNumbers
from training.plan import Arrays, Rounds, Score, Snapshot, Visit, permutation, read_table, table_arrays
from training.selection.config import SelectionConfig
from training.selection.registry import BATCH, SELECTIONS
from training.selection.rules import unbiased_weights
from training.selection.table import Floats, LossTable, empty_table

NO_BATCHES = np.zeros((0, 0), dtype=np.int64)


class RoundPlan:
    """Rounds of batches; the last partial batch of whatever is dealt is dropped.

    Units of batches: rows are permuted once and cut into N batches; the rule chooses among these, in data-set
    order, and they are dealt anew only every `reshuffle_every` rounds. Units of rows: the rule chooses rows,
    which are shuffled and cut into batches, anew in every round.

    A full round trains all rows whatever the rule: every `full_every` rounds, and all of them, dealt anew,
    once the last `finish` of the budget begins.

    eligible: rows that the rule may choose among; full rounds have the others too.
    """

    def __init__(
        self,
        config: SelectionConfig,
        *,
        num_rows: int,
        batch_size: int,
        generator: np.random.Generator,
        eligible: RowNumbers | None = None,
    ) -> None:
        self.num_batches = num_rows // batch_size
        self.table = empty_table(num_rows)
        self._config = config
        self._rule = SELECTIONS[config.name]
        self._batch_size = batch_size
        self._generator = generator
        self._eligible = np.arange(num_rows) if eligible is None else eligible
        self._order = permutation(num_rows, generator, keep_order=config.keep_order)
        self._rounds = Rounds(num_rows=num_rows)
        self._is_finishing = False
        self._pending = NO_BATCHES
        self._weights: Floats | None = None
        self._position = 0

    def next(self, progress: float, score: Score) -> Visit:
        if not self._is_finishing and progress >= 1 - self._config.finish:
            self._is_finishing = True
            self._begin_round()
        elif self._position == len(self._pending):
            self._begin_round()
        rows = self._pending[self._position]
        self._position += 1
        return Visit(
            rows=rows,
            weights=None if self._weights is None else self._weights[rows],
            round_number=self._rounds.number,
            round_overlap=self._rounds.overlap,
        )

    def record(self, visit: Visit, losses: Floats) -> None:
        self.table.record(visit.rows, losses, visit.round_number)

    def take_out(self) -> Snapshot:
        rounds = self._rounds.take_out()
        arrays: Arrays = {"order": self._order, "pending": self._pending, "eligible": self._eligible}
        if self._weights is not None:
            arrays["weights"] = self._weights
        return Snapshot(
            arrays=arrays | rounds.arrays | table_arrays(self.table),
            document=rounds.document
            | {
                "position": self._position,
                "is_finishing": self._is_finishing,
                "generator": self._generator.bit_generator.state,
            },
        )

    def put_back(self, snapshot: Snapshot) -> None:
        arrays, document = snapshot.arrays, snapshot.document
        self.table = read_table(arrays)
        self._rounds.put_back(snapshot)
        self._order, self._pending, self._eligible = (
            arrays[name] for name in ("order", "pending", "eligible")
        )
        self._weights = arrays.get("weights")
        self._position, self._is_finishing = document["position"], document["is_finishing"]
        self._generator.bit_generator.state = document["generator"]

    def _begin_round(self) -> None:
        number = self._rounds.number + 1
        is_full = self._is_finishing or self._is_full(number)
        self._weights = None
        if self._config.unit == BATCH:
            self._pending = self._choose_batches(number, is_full=is_full)
        else:
            self._pending = self._choose_rows(is_full=is_full)
        self._position = 0
        self._rounds.begin(self._pending.ravel())

    def _is_full(self, number: int) -> bool:
        every = self._config.full_every
        return every > 0 and number % every == 0

    def _choose_batches(self, number: int, *, is_full: bool) -> RowNumbers:
        every = self._config.reshuffle_every
        if number > 0 and (self._is_finishing or (every > 0 and number % every == 0)):
            self._order = self._generator.permutation(self._order)
        batches = self._cut(self._order)
        return batches if is_full else batches[self._choose(self.table.of_batches(batches))]

    def _choose_rows(self, *, is_full: bool) -> RowNumbers:
        chosen = self._order if is_full else self._eligible[self._choose(self._of_eligible())]
        # Fewer than a batch (a rule may keep hardly any): a round of everything.
        is_everything = is_full or len(chosen) < self._batch_size
        if self._rule.is_weighted and not is_everything:
            self._weights = unbiased_weights(self.table.of_rows(), self._config.delta)
        return self._cut(self._generator.permutation(self._order if is_everything else chosen))

    def _of_eligible(self) -> LossTable:
        return LossTable(
            losses=self.table.losses[self._eligible], visited_in=self.table.visited_in[self._eligible]
        )

    def _choose(self, table: LossTable) -> RowNumbers:
        choose: Callable[..., RowNumbers] | None = self._rule.choose
        assert choose is not None, "a rule of candidates has a plan of its own"
        return choose(table, self._config.delta, self._generator)

    def _cut(self, rows: RowNumbers) -> RowNumbers:
        num_batches = len(rows) // self._batch_size
        return rows[: num_batches * self._batch_size].reshape(num_batches, self._batch_size)
