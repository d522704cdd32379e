"""Which batches to train next, as pure functions over a table of losses.

Membership of a batch is fixed, so a batch is a number. Training goes in rounds: a rule is shown what is known
of every batch and names the batches of the next round, in order of visit. A further rule is one more function
in `SELECTIONS`.

`hard-batch` is the algorithm of Sahayam, Zakkam & Jayaraman, "Can we learn better with hard samples?"
(arXiv 2304.03486), as their released code runs it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BatchNumbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LossTable:
    """What is known of each of N batches. Batches not visited lately keep a stale loss.

    losses: (N,) the loss of the batch's last training forward, before its update; NaN where never visited.
    visited_in: (N,) the round of that visit; -1 where never visited.
    """

    losses: NDArray[np.float64]
    visited_in: NDArray[np.int64]

    @property
    def num_batches(self) -> int:
        return len(self.losses)

    @property
    def is_complete(self) -> bool:
        return bool((self.visited_in >= 0).all())


def empty_table(num_batches: int) -> LossTable:
    return LossTable(losses=np.full(num_batches, np.nan), visited_in=np.full(num_batches, -1, dtype=np.int64))


def record(table: LossTable, batch: int, loss: float, round_number: int) -> LossTable:
    """The table after one visit."""
    losses, visited_in = table.losses.copy(), table.visited_in.copy()
    losses[batch], visited_in[batch] = loss, round_number
    return LossTable(losses=losses, visited_in=visited_in)


def num_selected(num_batches: int, delta: float) -> int:
    """Batches in a round at fraction delta, rounded down as in the paper's code, but never none."""
    return max(1, int(delta * num_batches))


Choose = Callable[[LossTable, float, np.random.Generator], BatchNumbers]


def every_batch(table: LossTable, delta: float, generator: np.random.Generator) -> BatchNumbers:
    return np.arange(table.num_batches, dtype=np.int64)


def hardest_batches(table: LossTable, delta: float, generator: np.random.Generator) -> BatchNumbers:
    """One full pass first, then the batches of highest last known loss, in data-set order.

    Of equal losses the earlier batch goes first, as with a stable sort.
    """
    if not table.is_complete:
        return every_batch(table, delta, generator)
    by_loss = np.argsort(-table.losses, kind="stable")
    return np.sort(by_loss[: num_selected(table.num_batches, delta)])


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A rule, and whether rows are dealt to batches anew before each round (which makes losses worthless)."""

    choose: Choose
    reshuffles: bool


SELECTIONS = {
    "none": Selection(choose=every_batch, reshuffles=True),
    "hard-batch": Selection(choose=hardest_batches, reshuffles=False),
}


def overlap(first: BatchNumbers, second: BatchNumbers) -> float:
    """Jaccard overlap of two rounds: shared batches over all batches of either."""
    return len(np.intersect1d(first, second)) / len(np.union1d(first, second))
