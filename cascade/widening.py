"""Windows and thresholds as wide as a budget allows.

One width for all stages: the share, among the rows that reach a stage, that it forwards. A window is
symmetric in ranks around the stage's own final threshold, as in Xia & Bouganis (2023), section 3; a
threshold forwards the least sure rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.metrics import midway
from cascade.policy import NOTHING, Window
from cascade.scores import Array

Mask = NDArray[np.bool_]
BISECTIONS = 40


@dataclass(frozen=True)
class StageRows:
    """What a stage would say of all rows: their scores, and the threshold final if it were the last."""

    score: Array
    accept_above: float


@dataclass(frozen=True)
class Widened:
    """The interval of each stage but the last, and what the rows they were fitted on cost."""

    windows: tuple[Window, ...]
    cost_macs: float


Cut = Callable[[Array, float, float], Window]


def window_around(score: Array, accept_above: float, width: float) -> Window:
    """The window over the ranks `[q - width/2, q + width/2]`, q being the rank of `accept_above`."""
    ranked = np.sort(score)
    centre = np.searchsorted(ranked, accept_above) / len(ranked)
    return _between_ranks(ranked, centre - width / 2, centre + width / 2)


def window_below(score: Array, accept_above: float, width: float) -> Window:
    """The `width` least sure rows, as a window open below; `accept_above` plays no part."""
    window = _between_ranks(np.sort(score), 0.0, width)
    return window if window == NOTHING else Window(-np.inf, window.hi)


def _between_ranks(ranked: Array, lower: float, upper: float) -> Window:
    """Edges midway between neighbouring scores, open at the ends of the ranks."""
    n = len(ranked)
    begin, end = (int(np.clip(round(rank * n), 0, n)) for rank in (lower, upper))
    if begin >= end:
        return NOTHING
    padded = np.concatenate(([-np.inf], ranked, [np.inf]))
    lo = midway(padded[begin + 1], padded[begin])
    hi = -midway(-padded[end], -padded[end + 1])  # inclusive too, so it leans to the scores inside
    return Window(float(lo), float(hi))


def widest_within(
    stages: Sequence[StageRows], macs: Sequence[float], budget_macs: float, cut: Cut
) -> Widened:
    """Bisect the width to the largest whose mean cost keeps within `budget_macs` on these rows."""
    within, beyond = 0.0, 2.0  # at 2 a window covers every rank, wherever its centre
    best = _widened(stages, macs, cut, within)
    whole = _widened(stages, macs, cut, beyond)
    if whole.cost_macs <= budget_macs:
        return whole
    for _ in range(BISECTIONS):
        width = (within + beyond) / 2
        tried = _widened(stages, macs, cut, width)
        if tried.cost_macs <= budget_macs:
            within, best = width, tried
        else:
            beyond = width
    return best


def _widened(stages: Sequence[StageRows], macs: Sequence[float], cut: Cut, width: float) -> Widened:
    reaching = np.arange(len(stages[0].score))
    cost = macs[0] * len(reaching)
    windows = []
    for stage, next_macs in zip(stages[:-1], macs[1:], strict=True):
        window = cut(stage.score[reaching], stage.accept_above, width) if len(reaching) else NOTHING
        windows.append(window)
        reaching = reaching[window.contains(stage.score[reaching])]
        cost += next_macs * len(reaching)
    return Widened(tuple(windows), cost / len(stages[0].score))
