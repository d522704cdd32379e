"""The final thresholds: from which score on an answer is accepted, at every depth and for every set of
members that a row may end with.

They are set on rows that chose nothing before. Estimated, a threshold is the lowest that serves the
objective on these rows; certified, the lowest that a sequence of tests passes (see `certificate.py`).
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from cascade.fitting.calibration import fit_calibrator
from cascade.fitting.certificate import Certificate, Ranked
from cascade.fitting.shape import Laid, outcome_of
from cascade.fitting.table import Index, Play, Table, play, subset_table
from cascade.metrics import risk_coverage
from cascade.objectives.objective import Objective, Others
from cascade.objectives.selective import CoverageAtRisk
from cascade.policy import ACCEPT_NONE, Policy, Subset
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from cascade.window import Mask

MAX_FAILED = 2
"""Sets in which more members of a wide stage failed are not fitted, and so not accepted."""


@dataclass(frozen=True)
class Judges:
    """Rows to choose on, and rows to set thresholds on, which are certified where there is a certificate."""

    objective: Objective
    choosing: Index
    accepting: Index
    seed: int
    certificate: Certificate | None = None

    def of_whole(self, seen: Ranked, rows: Ranked, num_depths: int) -> tuple[float, ...]:
        """The final threshold, by depth, of rows that leave by themselves."""
        if self.certificate:
            return self.certificate.thresholds(seen, rows, num_depths)
        if isinstance(self.objective, CoverageAtRisk):
            return within_risk_at_depths(rows, self.objective.risk, num_depths)
        return (self.objective.accept_above(rows.rank, rows.outcome, rows.weight),) * num_depths

    def of_cut(self, seen: Ranked, rows: Ranked, others: Others) -> float:
        """The final threshold of rows that end early; `others` had left by themselves before."""
        if self.certificate:
            return self.certificate.thresholds(seen, rows, 1)[0]
        if isinstance(self.objective, CoverageAtRisk):
            return within_risk(rows, self.objective.risk, at_least=1 / self.objective.risk)
        objective = self.objective.for_rest(rows.outcome, rows.weight, others)
        return objective.accept_above(rows.rank, rows.outcome, rows.weight)


def within_risk_at_depths(rows: Ranked, risk: float, num_depths: int) -> tuple[float, ...]:
    """The lowest threshold of each depth that keeps the risk over all rows, and over those that leave at or
    before each depth: what a cascade has accepted when it is cut short must keep the promise as well.

    It is the same at all depths, unless the rows of an earlier one would break it by themselves.
    """
    floors: list[float] = []
    for depth in range(num_depths):
        floors.append(within_risk(rows.leaving_by(depth).above(floors), risk))
    return tuple(max(floor, floors[-1]) for floor in floors)


def within_risk(rows: Ranked, risk: float, at_least: float = 0.0) -> float:
    """The lowest threshold that keeps the risk. Fewer accepted rows than `at_least` are luck, however few
    errors there are among them."""
    if len(rows.rank) == 0:
        return ACCEPT_NONE
    curve = risk_coverage(rows.rank, rows.outcome, rows.weight)
    kept = np.flatnonzero((curve.risk <= risk) & (curve.coverage * len(rows.rank) >= at_least))
    return float(curve.thresholds[kept[-1]]) if len(kept) else ACCEPT_NONE


def with_acceptance(policy: Policy, laid: Laid, table: Table, judges: Judges) -> Policy:
    """`policy` with the threshold of rows that the rule lets go, and of rows cut short at each depth."""
    choosing, accepting = table.rows(judges.choosing), table.rows(judges.accepting)
    played, seen = (play(rows, laid.cuts, judges.seed) for rows in (accepting, choosing))
    rows = _ranked(laid, accepting, played)
    above = judges.of_whole(_ranked(laid, choosing, seen), rows, table.num_stages)
    thresholds = tuple(laid.raw(depth, threshold) for depth, threshold in enumerate(above))
    policy = replace(policy, accept_above=thresholds)
    cut = [
        judges.of_cut(
            _at_depth(choosing, depth, seen.reached(depth + 1)),
            _at_depth(accepting, depth, played.reached(depth + 1)),
            _left_before(policy, accepting, played, depth + 1),
        )
        for depth in range(table.num_stages - 1)
    ]
    return replace(policy, accept_above_cut=(*cut, ACCEPT_NONE))


def _ranked(laid: Laid, table: Table, played: Play) -> Ranked:
    return Ranked(laid.ranks(table, played), outcome_of(table, played), table.weight, played.depth)


def _at_depth(table: Table, depth: int, rows: Mask) -> Ranked:
    """Rows by their score at a depth where they end; all of them are one depth."""
    return _one_depth(table.score[depth, rows], table.outcome[depth, rows], table.weight[rows])


def _one_depth(score: Array, outcome: Array, weight: Array) -> Ranked:
    return Ranked(score, outcome, weight, np.zeros(len(score), np.intp))


def _left_before(policy: Policy, table: Table, played: Play, stage: int) -> Others:
    """The rows that leave by themselves before `stage` (from 0)."""
    left = np.flatnonzero(played.depth < stage)
    depth = played.depth[left]
    accepted = table.score[depth, left] >= np.asarray(policy.accept_above)[depth]
    return Others(accepted, table.outcome[depth, left], table.weight[left])


def with_subsets(
    policy: Policy, laid: Laid, table: Table, judges: Judges, stages: Stages, scores: ScoresFile
) -> Policy:
    """`policy` with what holds for rows that end without a member that should have run."""
    played = play(table, laid.cuts, judges.seed)
    accepting = table.rows(judges.accepting)
    accepting_played = play(accepting, laid.cuts, judges.seed)
    subsets = []
    for answered, stage in sets_without(stages):
        score, outcome, event = subset_table(policy, stages, scores, answered, judges.objective)
        seen, rows = (index[played.reached(stage)[index]] for index in (judges.choosing, judges.accepting))
        above = judges.of_cut(
            _one_depth(score[seen], outcome[seen], table.weight[seen]),
            _one_depth(score[rows], outcome[rows], table.weight[rows]),
            _left_before(policy, accepting, accepting_played, stage),
        )
        calibrator = fit_calibrator(score[seen], event[seen], table.weight[seen])
        subsets.append(Subset(tuple(answered), above, calibrator))
    return replace(policy, subsets=tuple(subsets))


def sets_without(stages: Stages) -> list[tuple[tuple[str, ...], int]]:
    """Sets of members that a row may end with when some fail, and the stage (from 0) whose rows end so.

    A row ends at the first stage where a member fails, with all that answered by then; where nobody has,
    the next stage's members answer instead, whatever the score.
    """
    sets: list[tuple[tuple[str, ...], int]] = []
    before: tuple[str, ...] = ()
    for number, stage in enumerate(stages):
        survivors = [kept for kept in _survivors(stage) if kept]
        sets += [((*before, *kept), number) for kept in survivors]
        if number:
            sets += [(kept, 0) for kept in [*survivors, stage]]
        before += stage
    return sets


def _survivors(stage: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What may be left of a stage when one or two of its members fail."""
    sizes = range(len(stage) - 1, max(-1, len(stage) - 1 - MAX_FAILED), -1)
    return [kept for size in sizes for kept in combinations(stage, size)]
