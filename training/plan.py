"""The batches of a whole training, one after another. Decides, loads nothing.

A plan names the rows of the next update (`next`) and takes the losses that they had (`record`). Its whole
state can be taken out and put back between two updates, so that a training goes on where it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.data.splits import RowNumbers
from training.selection.rules import overlap
from training.selection.table import Floats, RowTable

Arrays = dict[str, NDArray[Any]]
Score = Callable[[RowNumbers], Floats]
"""Losses (n,) of rows (n,) run forward, for nothing but the choice among them."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One update: its rows (B,), their weights in the loss (B,) or None for equal ones, and its round.

    round_overlap: Jaccard overlap of the rows of the latest two rounds known; None while there is one.
    num_scored: rows that were run forward to choose these.
    """

    rows: RowNumbers
    weights: Floats | None = None
    round_number: int
    round_overlap: float | None
    num_scored: int = 0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A plan's state: arrays, and what goes into JSON."""

    arrays: Arrays
    document: dict[str, Any]


class Plan(Protocol):
    num_batches: int
    table: RowTable

    def next(self, progress: float, score: Score) -> Visit:
        """The next update at `progress` (0 to 1) of the budget; `score` may be called to choose."""
        ...

    def record(self, visit: Visit, losses: Floats) -> None: ...

    def take_out(self) -> Snapshot: ...

    def put_back(self, snapshot: Snapshot) -> None: ...


@dataclass(kw_only=True)
class Rounds:
    """Which rows this round and the one before have, and how much they overlap."""

    num_rows: int
    number: int = -1
    overlap: float | None = None
    is_in: NDArray[np.bool] = field(init=False)

    def __post_init__(self) -> None:
        self.is_in = np.zeros(self.num_rows, dtype=np.bool)

    def begin(self, rows: RowNumbers) -> None:
        is_in = np.zeros(self.num_rows, dtype=np.bool)
        is_in[rows] = True
        if self.number >= 0:
            self.overlap = overlap(is_in, self.is_in)
        self.is_in = is_in
        self.number += 1

    def take_out(self) -> Snapshot:
        return Snapshot(
            arrays={"round_rows": self.is_in}, document={"round": self.number, "overlap": self.overlap}
        )

    def put_back(self, snapshot: Snapshot) -> None:
        self.is_in = snapshot.arrays["round_rows"].astype(np.bool)
        self.number, self.overlap = snapshot.document["round"], snapshot.document["overlap"]


def table_arrays(table: RowTable) -> Arrays:
    return {"losses": table.losses, "visited_in": table.visited_in, "visits": table.visits}


def read_table(arrays: Mapping[str, NDArray[Any]]) -> RowTable:
    """A table of its own: it is filled in place, and the arrays stay as they are."""
    return RowTable(
        losses=arrays["losses"].copy(), visited_in=arrays["visited_in"].copy(), visits=arrays["visits"].copy()
    )


def permutation(num_rows: int, generator: np.random.Generator, *, keep_order: bool) -> RowNumbers:
    """The order in which batches are dealt. A data set sorted by class would make batches of one class."""
    return np.arange(num_rows) if keep_order else generator.permutation(num_rows)
