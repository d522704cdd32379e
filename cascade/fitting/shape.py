"""Where windows lie: from rows, an objective and a budget to placements.

`none`       nothing is forwarded
`threshold`  the least sure rows are
`paper`      around each stage's own threshold, half of the share to either side; what the ends of the
             ranks cut off is lost (Xia & Bouganis 2023, section 3)
`centred`    around the threshold of the cascade itself: forwarded rows get surer, so the cascade accepts
             deeper than stage 1 alone would, and the rows worth forwarding lie lower
`joint`      centred, then how much lies below the threshold, and how the budget divides among the stages,
             are searched for the best gain on these rows
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.ndimage import correlate1d

from cascade.calibrator import Calibrator
from cascade.fitting.calibration import METHODS, better_method
from cascade.fitting.placement import one_width, place, rank_of, spend
from cascade.fitting.table import Cut, Play, Table, play
from cascade.metrics import risk_coverage
from cascade.objectives.objective import Objective
from cascade.objectives.selective import CoverageAtRisk
from cascade.policy import Placement, RankedBy
from cascade.scores import Array
from cascade.window import Mask

RECENTRINGS = 4
BELOW = tuple(np.round(np.arange(-0.5, 1.01, 0.125), 3).tolist())
LATER_SHARES = tuple(np.round(np.arange(0.0, 1.01, 0.1), 2).tolist())
SEARCH_ROUNDS = 2
NEIGHBOURS = np.array([1.0, 2.0, 3.0, 2.0, 1.0])


@dataclass(frozen=True)
class Laid:
    """Windows and calibrators fitted on some rows, to be played on any."""

    placements: tuple[Placement, ...]
    cuts: tuple[Cut, ...]
    calibrators: tuple[Calibrator | None, ...]
    methods: tuple[str | None, ...]
    ranked_by: RankedBy

    def ranks(self, table: Table, played: Play) -> Array:
        """What each row compares on with rows of any depth, `(rows,)`."""
        at = np.arange(table.num_rows)
        if self.ranked_by == "score":
            return np.asarray(table.score[played.depth, at])
        ranks = np.empty(table.num_rows)
        for depth, calibrator in enumerate(self.calibrators):
            rows = played.depth == depth
            score = table.score[depth, rows]
            ranks[rows] = calibrator(score) if calibrator else 0.0
        return ranks

    def raw(self, depth: int, threshold: float) -> float:
        """The score at a depth from which on a row ranks at or above `threshold`."""
        if self.ranked_by == "score":
            return threshold
        calibrator = self.calibrators[depth]
        return calibrator.score_at(threshold) if calibrator else np.inf


@dataclass(frozen=True)
class Task:
    """What windows are laid for."""

    objective: Objective
    limit: float
    ranked_by: RankedBy
    seed: int


def laid_none(table: Table, task: Task) -> Laid:
    return _laid(table, [Placement(0.0, -np.inf, 0.0)] * (table.num_stages - 1), task)


def laid_threshold(table: Table, task: Task) -> Laid:
    shares = one_width(table.costs, task.limit)
    return _laid(table, [Placement(share, -np.inf, 0.0) for share in shares], task)


def laid_paper(table: Table, task: Task) -> Laid:
    """Around each stage's own threshold, on all rows as if it were the last."""
    shares = one_width(table.costs, task.limit)
    placements = [
        Placement(share, _own_threshold(table, stage, task.objective), 0.5, slides=False)
        for stage, share in enumerate(shares)
    ]
    return _laid(table, placements, task)


def _own_threshold(table: Table, stage: int, objective: Objective) -> float:
    """As the paper's code has it: for a target risk the threshold whose risk lies closest, not the last
    within, the surest 1% of the rows left out of the search."""
    score, outcome = table.score[stage], table.outcome[stage]
    if not isinstance(objective, CoverageAtRisk):
        return objective.accept_above(score, outcome, table.weight)
    curve = risk_coverage(score, outcome, table.weight)
    searched = np.flatnonzero(curve.coverage >= 0.01)
    return float(curve.thresholds[searched[np.abs(curve.risk[searched] - objective.risk).argmin()]])


def laid_centred(table: Table, task: Task) -> Laid:
    """Lay the windows around a threshold, read the threshold off the cascade they make, and again."""
    shares = one_width(table.costs, task.limit)
    return _recentred(table, [Placement(share, -np.inf, 0.5) for share in shares], task)


def _recentred(table: Table, placements: Sequence[Placement], task: Task) -> Laid:
    anchors = [
        task.objective.accept_above(table.score[stage], table.outcome[stage], table.weight)
        for stage in range(len(placements))
    ]
    laid = None
    for _ in range(RECENTRINGS):
        placed = [replace(placement, anchor=a) for placement, a in zip(placements, anchors, strict=True)]
        laid = _laid(table, placed, task, laid)
        played = play(table, laid.cuts, task.seed)
        threshold = task.objective.accept_above(
            laid.ranks(table, played), outcome_of(table, played), table.weight
        )
        anchors = [
            _halfway(table, stage, anchor, laid.raw(stage, threshold)) for stage, anchor in enumerate(anchors)
        ]
    return _laid(table, placed, task)


def _halfway(table: Table, stage: int, one: float, other: float) -> float:
    """The score whose rank lies between those of two others: a window moves the threshold of its cascade
    about as far the other way, so whole steps would go to and fro for ever."""
    score, traffic = table.score[stage], table.traffic
    rank = (rank_of(score, traffic, one) + rank_of(score, traffic, other)) / 2
    return float(np.quantile(score, rank, weights=traffic, method="inverted_cdf"))


def laid_joint(table: Table, task: Task) -> Laid:
    """From the centred windows, one coordinate after the other: where each lies, how the budget divides."""
    best = laid_centred(table, task)
    for _ in range(SEARCH_ROUNDS):
        before = best.placements
        for line in _lines(len(before)):
            best = _best_on(line(best.placements, table, task), best, table, task)
        if best.placements == before:
            break
    return _laid(table, best.placements, task)


Line = Callable[[Sequence[Placement], Table, Task], list[tuple[Placement, ...]]]


def _lines(num_windows: int) -> Iterable[Line]:
    """A grid for each coordinate: the position of every window, the share of every one but the first."""
    yield from (partial(_positions, stage) for stage in range(num_windows))
    yield from (partial(_divisions, stage) for stage in range(1, num_windows))


def _positions(
    stage: int, placements: Sequence[Placement], table: Table, task: Task
) -> list[tuple[Placement, ...]]:
    return [
        tuple(replace(p, below=below) if number == stage else p for number, p in enumerate(placements))
        for below in BELOW
    ]


def _divisions(
    stage: int, placements: Sequence[Placement], table: Table, task: Task
) -> list[tuple[Placement, ...]]:
    """The first window spends what the later ones leave."""
    grid = []
    for share in LATER_SHARES:
        later = [share if number == stage else p.share for number, p in enumerate(placements) if number]
        shares = spend(table.costs, task.limit, later)
        grid.append(tuple(replace(p, share=s) for p, s in zip(placements, shares, strict=True)))
    return grid


def _best_on(grid: Sequence[tuple[Placement, ...]], here: Laid, table: Table, task: Task) -> Laid:
    """The point of a grid with the best gain, averaged over its neighbours: a gain seen at one point alone
    is a jump of the curve, and gone on other rows. The search stays where it is if that is off the grid and
    better still."""
    laid = [_laid(table, placements, task, here) for placements in grid]
    gains = np.array([gain(point, table, task) for point in laid])
    smooth = correlate1d(gains, NEIGHBOURS / NEIGHBOURS.sum(), mode="nearest")
    best = int(smooth.argmax())
    current = next((i for i, placements in enumerate(grid) if placements == here.placements), None)
    standing = gain(here, table, task) if current is None else smooth[current]
    return here if standing >= smooth[best] else laid[best]


SHAPES: dict[str, Callable[[Table, Task], Laid]] = {
    "none": laid_none,
    "threshold": laid_threshold,
    "paper": laid_paper,
    "centred": laid_centred,
    "joint": laid_joint,
}


def gain(laid: Laid, table: Table, task: Task) -> float:
    """What the objective gains on these rows."""
    played = play(table, laid.cuts, task.seed)
    return task.objective.gain(laid.ranks(table, played), outcome_of(table, played), table.weight)


def outcome_of(table: Table, played: Play) -> Array:
    return np.asarray(table.outcome[played.depth, np.arange(table.num_rows)])


def _laid(table: Table, placements: Sequence[Placement], task: Task, like: Laid | None = None) -> Laid:
    laid = laid_by(place(table, placements, task.seed), table, task, like)
    return replace(laid, placements=tuple(placements))


def laid_by(cuts: Sequence[Cut], table: Table, task: Task, like: Laid | None = None) -> Laid:
    """Cuts that were not placed, with the calibrators that belong to them.

    Which calibration is the better changes little from one place of the windows to the next: a search
    takes it from a neighbour, `like`; and the calibrators themselves where nothing is ranked by them.
    """
    if like and task.ranked_by == "score":
        return replace(like, cuts=tuple(cuts))
    reached = [play(table, cuts, task.seed).reached(depth) for depth in range(table.num_stages)]
    rows = [
        (table.score[depth, rows], table.event[depth, rows], table.weight[rows])
        for depth, rows in enumerate(reached)
    ]
    methods = like.methods if like else tuple(better_method(*of) if len(of[0]) else None for of in rows)
    return Laid((), tuple(cuts), _calibrators(methods, rows), methods, task.ranked_by)


def _calibrators(
    methods: Sequence[str | None], rows: Sequence[tuple[Array, Mask, Array]]
) -> tuple[Calibrator | None, ...]:
    """P(event) given the score at each depth, on the rows that reach it; None where none does.

    Whether such a row exits or goes on follows from its score, so given the score the two are alike, and a
    row that is cut short is covered too.
    """
    return tuple(
        METHODS[method or "isotonic"](*of) if len(of[0]) else None
        for method, of in zip(methods, rows, strict=True)
    )
