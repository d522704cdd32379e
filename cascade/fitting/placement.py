"""Windows laid over the ranks of the rows that reach a stage.

A stage forwards a share of the rows that reach it, so the budget fixes the shares, and where a window
lies among the ranks is free: around an anchor, the score at which a row is just accepted, with part of the
share below it and part above.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cascade.fitting.table import NO_ROWS, Cut, Table
from cascade.metrics import midway
from cascade.policy import Placement
from cascade.scores import Array
from cascade.window import NOTHING, Mask, Tie, Window, coin

BUDGETED = ("window", "threshold")
"""The kinds of policies whose windows are laid so."""

MIN_ROWS = 40

PLATEAU = 1e-3
"""A coin divides equal scores that make up more than this share of the rows; of smaller groups, and of a
single row, the edge takes all or nothing."""


def place(table: Table, placements: Sequence[Placement], seed: int) -> tuple[Cut, ...]:
    """The cut of each stage but the last, over the ranks of the rows that reach it."""
    cuts = []
    reaching = np.arange(table.num_rows)
    for stage, placement in enumerate(placements):
        score, traffic = table.score[stage, reaching], table.traffic[reaching]
        cut = lay(score, traffic, placement)
        if cut.ties:
            coins = coin(table.digests[reaching], seed, stage)
            ties = tuple(_within_share(tie, score, traffic, coins) for tie in cut.ties)
            cut = replace(cut, ties=ties)
        cuts.append(cut)
        reaching = reaching[cut.takes(table, reaching, stage, seed)]
    return tuple(cuts)


def _within_share(tie: Tie, score: Array, traffic: Array, coins: Array) -> Tie:
    """The tie with the largest share of coins that takes no more of these rows' traffic than it should.

    Rows of identical outputs, as of members that vote or are quantised, share a coin: they go on together or
    not at all.
    """
    tied = np.flatnonzero(score == tie.score)
    tied = tied[np.argsort(coins[tied], kind="stable")]
    taken = np.cumsum(traffic[tied])
    sides = np.flatnonzero(np.diff(coins[tied], append=1.0) > 0)  # the last row of each coin
    fitting = sides[taken[sides] <= tie.share * taken[-1] * (1 + 1e-9)]
    if len(fitting) == 0:
        return replace(tie, share=0.0)
    last = fitting[-1]
    beyond = coins[tied[last + 1]] if last + 1 < len(tied) else 1.0
    return replace(tie, share=float((coins[tied[last]] + beyond) / 2))


def lay(score: Array, traffic: Array, placement: Placement) -> Cut:
    """The cut that takes in the placement's share of these rows, but for what the ends of the ranks cut off
    where it does not slide."""
    share = placement.share
    lower = rank_of(score, traffic, placement.anchor) - placement.below * share
    if placement.slides:
        lower = min(max(lower, 0.0), 1.0 - share)
    return cut_between(score, traffic, lower, lower + share)


def rank_of(score: Array, traffic: Array, anchor: float) -> float:
    """The share of traffic whose score lies below the anchor."""
    total = traffic.sum()
    return float(traffic[score < anchor].sum() / total) if total > 0 else 0.0


def cut_between(score: Array, traffic: Array, lower: float, upper: float) -> Cut:
    """The rows whose ranks lie between two shares of the traffic, clipped to [0, 1].

    Edges lie midway between neighbouring scores, and are open at the ends of the ranks; inside a plateau
    the edge is its score, and a tie says which share of it is taken.
    """
    lower, upper = max(lower, 0.0), min(upper, 1.0)
    if lower >= upper or traffic.sum() <= 0:
        return NO_ROWS
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ends = np.cumsum(np.bincount(inverse, traffic)) / traffic.sum()
    begins = np.r_[0.0, ends[:-1]]
    is_plateau = (counts > 1) & (ends - begins > PLATEAU)
    begin = _group_from(lower, begins, ends, is_plateau)
    end = _group_to(upper, begins, ends, is_plateau)
    if begin >= end:
        return NO_ROWS
    shares = {group: _overlap(lower, upper, begins[group], ends[group]) for group in (begin, end - 1)}
    ties = tuple(
        Tie(float(values[group]), share)
        for group, share in sorted(shares.items())
        if is_plateau[group] and share < 1 - 1e-9
    )
    divided = {tie.score for tie in ties}
    return Cut(_edges(values, begin, end, divided), ties)


def _group_from(rank: float, begins: Array, ends: Array, is_plateau: Mask) -> int:
    """The first group of equal scores taken, wholly or in part."""
    if rank <= 1e-12:
        return 0
    group = min(int(np.searchsorted(ends, rank + 1e-12)), len(ends) - 1)
    if is_plateau[group]:
        return group
    return group if rank - begins[group] <= ends[group] - rank else group + 1


def _group_to(rank: float, begins: Array, ends: Array, is_plateau: Mask) -> int:
    """One past the last group taken."""
    if rank >= 1 - 1e-12:
        return len(ends)
    group = min(int(np.searchsorted(ends, rank - 1e-12)), len(ends) - 1)
    if is_plateau[group]:
        return group + 1
    return group + 1 if ends[group] - rank < rank - begins[group] else group


def _overlap(lower: float, upper: float, begin: float, end: float) -> float:
    """The share of a group that lies between two ranks; all of a group without traffic."""
    if end <= begin:
        return 1.0
    return float(np.clip((min(upper, end) - max(lower, begin)) / (end - begin), 0.0, 1.0))


def _edges(values: Array, begin: int, end: int, divided: set[float]) -> Window:
    padded = np.concatenate(([-np.inf], values, [np.inf]))
    lo = values[begin] if values[begin] in divided else midway(padded[begin + 1], padded[begin])
    last = values[end - 1]
    hi = last if last in divided else -midway(-padded[end], -padded[end + 1])
    return Window(float(lo), float(hi))


def one_width(costs: Sequence[float], limit: float) -> tuple[float, ...]:
    """The same share at every stage, as large as the limit on the cost per row allows."""
    within, beyond = 0.0, 1.0
    if mean_cost(costs, [beyond] * (len(costs) - 1)) <= limit:
        return (1.0,) * (len(costs) - 1)
    for _ in range(60):
        width = (within + beyond) / 2
        if mean_cost(costs, [width] * (len(costs) - 1)) <= limit:
            within = width
        else:
            beyond = width
    return (within,) * (len(costs) - 1)


def spend(costs: Sequence[float], limit: float, later: Sequence[float]) -> tuple[float, ...]:
    """Shares of all stages where those after the first are given, and the first spends what is left."""
    price = mean_cost(costs[1:], later)
    return (min(1.0, (limit - costs[0]) / price), *later)


def mean_cost(costs: Sequence[float], shares: Sequence[float]) -> float:
    """Cost per row where each stage forwards a share of the rows that reach it."""
    reaching = np.cumprod((1.0, *shares))
    return math.fsum(np.asarray(costs) * reaching)


def strict_threshold(window: Window) -> float:
    """The threshold below which lie just the scores of a window open below, its upper end included."""
    return window.hi if window == NOTHING else float(np.nextafter(window.hi, np.inf))
