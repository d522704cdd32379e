"""Cascade-aware selection: a later member trains on what the earlier members would forward to it.

A cascade forwards the rows whose score lies in a window around the threshold of the final decision (Xia &
Bouganis, arXiv 2303.08010). The earlier members have trained on the train split, so their scores there are
too high; the window is therefore carried over by rank: where the threshold stands among the scores of the
validation split, and the same share of ranks around it on the train split.
"""

import numpy as np
from numpy.typing import NDArray

from training.selection.rules import num_selected
from training.selection.table import Floats, Numbers

TARGET_RISK = 0.05
"""Risk that the threshold is laid for, as in the paper's first objective."""


def threshold_rank(scores: Floats, is_correct: NDArray[np.bool]) -> float:
    """The share of rows scored below the lowest threshold at which the risk of those above is 5% at most.

    scores, is_correct: (N,) on rows that trained nothing. 1.0 where no threshold is that good.
    """
    by_score = np.argsort(-scores, kind="stable")
    errors = np.cumsum(~is_correct[by_score])
    # No threshold parts equal scores.
    is_last_of_equals = np.append(np.diff(scores[by_score]) != 0, True)
    is_good = is_last_of_equals & (errors <= TARGET_RISK * np.arange(1, len(scores) + 1))
    num_accepted = np.flatnonzero(is_good)[-1] + 1 if is_good.any() else 0
    return 1 - float(num_accepted) / len(scores)


def forwarded(scores: Floats, rank: float, delta: float) -> Numbers:
    """The share delta of rows (N,) whose ranks lie nearest to `rank`, shifted inwards at either end."""
    num_rows = num_selected(len(scores), delta)
    by_score = np.argsort(scores, kind="stable")
    first = round(rank * len(scores) - num_rows / 2)
    first = min(max(first, 0), len(scores) - num_rows)
    return np.sort(by_score[first : first + num_rows])
