"""The final thresholds: from which score on an answer is accepted, at every depth and for every set of
members that a row may end with.

They are set on rows that chose nothing before. Estimated, a threshold is the lowest that serves the
objective on these rows; certified, the lowest that a sequence of tests passes (`cascade.certificate`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from cascade.calibration import fit_calibrator
from cascade.fitting.certificate import Certificate, Ranked
from cascade.fitting.shape import Laid, outcome_of
from cascade.fitting.table import Index, Table, play, subset_table
from cascade.metrics import midway
from cascade.objectives.objective import Objective
from cascade.objectives.selective import CoverageAtRisk
from cascade.policy import ACCEPT_NONE, Policy, Subset
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from cascade.window import Mask

MAX_FAILED = 2
"""Sets in which more members of a wide stage failed are not fitted, and so not accepted."""


@dataclass(frozen=True)
class Accepted:
    """Rows whose fate is known: each one's outcome and weight."""

    outcome: Array
    weight: Array


NOBODY = Accepted(np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Judges:
    """Rows to choose on, and rows to set thresholds on, which are certified where there is a certificate."""

    objective: Objective
    choosing: Index
    accepting: Index
    seed: int
    certificate: Certificate | None = None

    def threshold(self, seen: Ranked, rank: Array, outcome: Array, weight: Array, settled: Accepted) -> float:
        """The final threshold for rows of these ranks, `settled` rows being accepted whatever it is.

        `seen` are choosing rows alike, where a certificate's tests get their sequence.
        """
        if self.certificate:
            return self.certificate.threshold(seen, Ranked(rank, outcome), settled.outcome)
        if isinstance(self.objective, CoverageAtRisk) and len(settled.outcome):
            return _within_risk(self.objective.risk, rank, outcome, weight, settled)
        return self.objective.accept_above(rank, outcome, weight)


def _within_risk(risk: float, rank: Array, outcome: Array, weight: Array, settled: Accepted) -> float:
    """The lowest threshold that keeps the risk both among these rows and together with the settled ones."""
    if len(rank) == 0:
        return ACCEPT_NONE
    order = np.argsort(-rank, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(rank[order]) != 0, True))
    errors = np.cumsum(weight[order] * (1 - outcome[order]))[ends]
    accepted = np.cumsum(weight[order])[ends]
    errors_before = float((settled.weight * (1 - settled.outcome)).sum())
    alone = errors <= risk * accepted
    together = errors + errors_before <= risk * (accepted + settled.weight.sum())
    kept = np.flatnonzero(alone & together)
    if len(kept) == 0:
        return ACCEPT_NONE
    ranked = np.r_[rank[order][ends], -np.inf]
    return float(midway(ranked[kept[-1]], ranked[kept[-1] + 1]))


def with_acceptance(policy: Policy, laid: Laid, table: Table, judges: Judges) -> Policy:
    """`policy` with the threshold of rows that the rule lets go, and of rows cut short at each depth."""
    choosing, accepting = table.rows(judges.choosing), table.rows(judges.accepting)
    played, played_choosing = (play(rows, laid.cuts, judges.seed) for rows in (accepting, choosing))
    above = judges.threshold(
        Ranked(laid.ranks(choosing, played_choosing), outcome_of(choosing, played_choosing)),
        laid.ranks(accepting, played),
        outcome_of(accepting, played),
        accepting.weight,
        NOBODY,
    )
    thresholds = tuple(laid.raw(depth, above) for depth in range(table.num_stages))
    cut = []
    for depth in range(table.num_stages - 1):
        settled = _settled(accepting, played.depth, depth, thresholds)
        rows, rows_choosing = played.reached(depth + 1), played_choosing.reached(depth + 1)
        cut.append(
            judges.threshold(
                Ranked(choosing.score[depth, rows_choosing], choosing.outcome[depth, rows_choosing]),
                accepting.score[depth, rows],
                accepting.outcome[depth, rows],
                accepting.weight[rows],
                settled,
            )
        )
    return replace(policy, accept_above=thresholds, accept_above_cut=(*cut, ACCEPT_NONE))


def _settled(table: Table, depths: Index, depth: int, thresholds: Sequence[float]) -> Accepted:
    """The rows that had left by themselves, accepted, when others are cut short after `depth`."""
    rows = np.arange(table.num_rows)
    accepted = (depths <= depth) & (table.score[depths, rows] >= np.asarray(thresholds)[depths])
    left = np.flatnonzero(accepted)
    return Accepted(table.outcome[depths[left], left], table.weight[left])


def with_subsets(
    policy: Policy, laid: Laid, table: Table, judges: Judges, stages: Stages, scores: ScoresFile
) -> Policy:
    """`policy` with what holds for rows that end without a member that should have run."""
    played = play(table, laid.cuts, judges.seed)
    subsets = []
    for answered, stage in sets_without(stages):
        columns = subset_table(policy, stages, scores, answered, judges.objective)
        subsets.append(_subset(answered, columns, played.reached(stage), table, judges))
    return replace(policy, subsets=tuple(subsets))


def _subset(
    answered: Sequence[str], columns: tuple[Array, Array, Mask], reaching: Mask, table: Table, judges: Judges
) -> Subset:
    score, outcome, event = columns
    choosing = judges.choosing[reaching[judges.choosing]]
    accepting = judges.accepting[reaching[judges.accepting]]
    seen = Ranked(score[choosing], outcome[choosing])
    above = judges.threshold(seen, score[accepting], outcome[accepting], table.weight[accepting], NOBODY)
    calibrator = fit_calibrator(score[choosing], event[choosing], table.weight[choosing])
    return Subset(tuple(answered), above, calibrator)


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
