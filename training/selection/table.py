"""What is known of the rows of a train split, and of the batches made of them: losses, visits, rounds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

NEVER = -1


@dataclass(frozen=True, kw_only=True)
class LossTable:
    """What is known of each of N units (batches, or single rows). Units not visited lately keep a stale loss.

    losses: (N,) the loss of the unit's last training forward, before its update; NaN where never visited.
    visited_in: (N,) the round of that visit; -1 where never visited.
    """

    losses: Floats
    visited_in: Numbers

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def is_fresh(self) -> bool:
        return bool((self.visited_in == NEVER).all())


@dataclass(frozen=True, kw_only=True)
class RowTable:
    """The same for each of R rows, filled in place, with the number of visits of each."""

    losses: Floats
    visited_in: Numbers
    visits: Numbers

    def record(self, rows: Numbers, losses: Floats, round_number: int) -> None:
        self.losses[rows] = losses
        self.visited_in[rows] = round_number
        # A row that was kept in two passes can be in a batch twice; `+= 1` would count it once.
        np.add.at(self.visits, rows, 1)

    def of_rows(self) -> LossTable:
        return LossTable(losses=self.losses, visited_in=self.visited_in)

    def of_batches(self, batches: Numbers) -> LossTable:
        """Of batches (N, B) of row numbers: the mean of their rows' last losses, the oldest visit of a row.

        While batches stay as they are that is exactly the batch's own last loss; dealt anew, a batch is known
        by what its rows were in others.
        """
        return LossTable(
            losses=self.losses[batches].mean(axis=1), visited_in=self.visited_in[batches].min(axis=1)
        )


def empty_table(num_rows: int) -> RowTable:
    return RowTable(
        losses=np.full(num_rows, np.nan),
        visited_in=np.full(num_rows, NEVER, dtype=np.int64),
        visits=np.zeros(num_rows, dtype=np.int64),
    )
