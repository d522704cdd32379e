"""Rules that see a loss before they train: candidates are run forward, and the chosen among them trained."""

import numpy as np

from training.selection.table import Floats, Numbers

HISTORY = 1024
"""Losses that Selective-Backprop ranks a new one among, as its authors keep them."""


def pool_size(batch_size: int, delta: float) -> int:
    """Candidates from which `batch_size` rows are picked when a share delta is to be trained."""
    return max(batch_size, round(batch_size / delta))


def top(losses: Floats, num_rows: int) -> Numbers:
    """OHEM (Shrivastava et al., arXiv 1604.03540): the rows of highest loss, in their order.

    losses: (pool,). Of equal losses the earlier goes first.
    """
    return np.sort(np.argsort(-losses, kind="stable")[:num_rows])


def exponent(delta: float) -> float:
    """Selective-Backprop's beta: percentile ** beta is 1 / (beta + 1) on average, here delta."""
    return 1 / delta - 1


def backpropagated(losses: Floats, history: Floats, delta: float, generator: np.random.Generator) -> Numbers:
    """Selective-Backprop (Jiang et al., arXiv 1910.00762): each is kept with chance percentile ** beta.

    losses: (n,); history: (h,) recent losses, these among them; the percentile of a loss is the share of the
    history that is not above it.
    """
    percentiles = np.searchsorted(np.sort(history), losses, side="right") / len(history)
    return np.flatnonzero(generator.random(len(losses)) < percentiles ** exponent(delta))
