"""What the next round trains, as pure functions over a table of losses.

A unit is a batch of fixed rows or a single row; a rule names the units of the next round. It sees losses and
visits, never data: units it leaves out are never loaded.

`hardest` over batches is the algorithm of Sahayam, Zakkam & Jayaraman, "Can we learn better with hard
samples?" (arXiv 2304.03486), as their released code runs it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.selection.table import Floats, LossTable, Numbers

Choose = Callable[[LossTable, float, np.random.Generator], Numbers]


def num_selected(num_units: int, delta: float) -> int:
    """Units in a round at fraction delta, rounded down as in the paper's code, but never none."""
    return max(1, int(delta * num_units))


def everything(table: LossTable, delta: float, generator: np.random.Generator) -> Numbers:
    return np.arange(len(table), dtype=np.int64)


def hardest(table: LossTable, delta: float, generator: np.random.Generator) -> Numbers:
    """All units first, then those of highest last known loss, in data-set order.

    Of equal losses the earlier unit goes first, as with a stable sort; a unit never visited is the hardest.
    """
    if table.is_fresh:
        return everything(table, delta, generator)
    losses = np.where(np.isnan(table.losses), np.inf, table.losses)
    by_loss = np.argsort(-losses, kind="stable")
    return np.sort(by_loss[: num_selected(len(table), delta)])


def at_random(table: LossTable, delta: float, generator: np.random.Generator) -> Numbers:
    """A random share: the control RS2 (Okanovic et al., arXiv 2305.18424)."""
    return np.sort(generator.choice(len(table), num_selected(len(table), delta), replace=False))


def least_recent(table: LossTable, delta: float, generator: np.random.Generator) -> Numbers:
    """The units whose last visit lies furthest back, in data-set order: round-robin, blind to losses."""
    by_age = np.argsort(table.visited_in, kind="stable")
    return np.sort(by_age[: num_selected(len(table), delta)])


def informative(table: LossTable, delta: float, generator: np.random.Generator) -> Numbers:
    """InfoBatch (Qin et al., arXiv 2303.04947): of units below the mean loss, each is kept with chance delta.

    Their `r` is 1 - delta. Units never visited are kept.
    """
    is_easy = _is_easy(table)
    is_kept = ~is_easy | (generator.random(len(table)) < delta)
    return np.flatnonzero(is_kept)


def unbiased_weights(table: LossTable, delta: float) -> Floats:
    """(N,) InfoBatch's weights of the loss: 1 / delta for what could have been left out, 1 for the rest."""
    return np.where(_is_easy(table), 1 / delta, 1.0)


def _is_easy(table: LossTable) -> NDArray[np.bool]:
    if table.is_fresh:
        return np.zeros(len(table), dtype=np.bool)
    return np.asarray(table.losses < np.nanmean(table.losses))


def overlap(first: NDArray[np.bool], second: NDArray[np.bool]) -> float:
    """Jaccard overlap of two rounds, (N,) each, True for what is in it: in both over in either."""
    return float((first & second).sum() / (first | second).sum())
