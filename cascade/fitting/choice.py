"""Which fit to use, by cross-validation inside the rows that may choose.

A fit is a structure (how members combine), what rows are ranked by, and a shape of windows. The choice
begins with the best of three simple ones, the paper's rule among them; a richer fit replaces it where it
gains on rows it was not fitted on, by a margin of standard errors of the difference.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.fitting.shape import SHAPES, Task, outcome_of
from cascade.fitting.structure import STRUCTURES, structured
from cascade.fitting.table import Table, play, tabulate
from cascade.objectives.objective import Objective
from cascade.policy import Policy, RankedBy
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from cascade.window import Mask

FOLDS = 5
MAX_ROWS = 10_000
RESAMPLES = 100


@dataclass(frozen=True)
class Option:
    """One way to fit."""

    structure: str
    ranked_by: RankedBy
    shape: str

    def __str__(self) -> str:
        return f"{self.shape} windows, {self.structure} structure, ranked by {self.ranked_by}"


PAPER = Option("plain", "score", "paper")
SIMPLE = (PAPER, Option("plain", "score", "none"), Option("plain", "score", "threshold"))
"""Where the choice begins: the best of these, which have nothing to overfit."""

RICHER = (
    Option("temperatures", "score", "paper"),
    Option("plain", "confidence", "centred"),
    *(Option(structure, "confidence", "joint") for structure in STRUCTURES),
    *(Option(structure, "score", "joint") for structure in STRUCTURES[:2]),
)
STANDARD_ERRORS = 1.5
"""By how many a richer fit must gain over the best simple one: where the rows cannot tell, that one stays.
(On the CIFAR-100 outputs, 0 to 1 gained hardly more in the mean, and lost a little more often.)"""


DEARER_ERRORS = 0.5
"""By how many a simple fit that costs more must gain over one that costs less."""


def options_for(objective: Objective) -> list[Option]:
    """The options to compare; those that leave scores as they are where these have a meaning of their own."""
    every = [*SIMPLE, *RICHER]
    if not objective.keeps_probabilities:
        return every
    return [option for option in every if option.structure == "plain" and option.ranked_by == "score"]


@dataclass(frozen=True)
class HeldOut:
    """What fits made of rows that they had not seen: `(rows,)` each, pooled over the folds."""

    rank: Array
    outcome: Array
    weight: Array
    group: NDArray[np.int64]
    inside: Mask
    cost: float

    def value(self, objective: Objective, counts: Array | None = None) -> float:
        weight = self.weight if counts is None else self.weight * counts
        return objective.value(self.rank, self.outcome, weight)

    def gain(self, objective: Objective, counts: Array | None = None) -> float:
        weight = self.weight if counts is None else self.weight * counts
        return objective.gain(self.rank, self.outcome, weight)


@dataclass(frozen=True)
class Candidate:
    """An option, what it gained on held-out rows, and what it gained on resamples of them."""

    option: Option
    held: HeldOut
    gain: float
    resampled: Array

    def over(self, other: "Candidate") -> tuple[float, float]:
        """By how much more it gained, and the standard error of that."""
        return self.gain - other.gain, float(np.std(self.resampled - other.resampled))

    def surplus_over(self, other: "Candidate") -> float:
        gain, error = self.over(other)
        return gain - STANDARD_ERRORS * error


@dataclass(frozen=True)
class Choice:
    """The option to fit, what it was chosen among (nothing where there was no choice), and the objective's
    value that it reached on held-out rows, with its standard error."""

    option: Option
    candidates: tuple[Candidate, ...] = ()
    value: float = math.nan
    value_error: float = math.nan

    def report(self) -> dict[str, Any]:
        if not self.candidates:
            return {}
        return {
            "shape": self.option.shape,
            "chosen": str(self.option),
            "gain_over_paper": {
                str(candidate.option): [round(number, 6) for number in candidate.over(self.candidates[0])]
                for candidate in self.candidates[1:]
            },
        }


def fold_of(group: NDArray[np.int64], inside: Mask, seed: int) -> NDArray[np.intp]:
    """A fold for each row, with rows inside the distribution in all; rows of one group share it."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(group), np.intp)
    for part in (inside, ~inside):
        names, inverse = np.unique(group[part], return_inverse=True)
        fold[part] = (rng.permutation(len(names)) % FOLDS)[inverse]
    return fold


@dataclass(frozen=True)
class Folds:
    """For each structure and fold, the table of all rows under a structure fitted without that fold's."""

    fold: NDArray[np.intp]
    tables: Mapping[tuple[str, int], Table]

    def divided(self, structure: str, fold: int) -> tuple[Table, Table]:
        """The rows to fit on, and those held out."""
        table = self.tables[structure, fold]
        return table.rows(np.flatnonzero(self.fold != fold)), table.rows(np.flatnonzero(self.fold == fold))


def choose(
    options: Sequence[Option],
    sample: ScoresFile,
    stages: Stages,
    plain: Policy,
    objective: Objective,
    costs: Sequence[float],
    task: Task,
) -> Choice:
    """The best of `options` on the rows of `sample`, each held out once; the paper's rule comes first."""
    if sample.groups is not None and len(np.unique(sample.groups)) < FOLDS:
        return Choice(PAPER)
    tables = _tables(sample, stages, plain, objective, costs, task.seed)
    candidates = tuple(_candidate(option, tables, task) for option in options)
    best = simple = best_simple([c for c in candidates if c.option in SIMPLE])
    surplus = 0.0
    for candidate in candidates:
        if candidate.option in RICHER and candidate.surplus_over(simple) > surplus:
            best, surplus = candidate, candidate.surplus_over(simple)
    rng = np.random.default_rng(task.seed)
    values = [best.held.value(objective, _counts(best.held, rng)) for _ in range(RESAMPLES)]
    return Choice(best.option, candidates, best.held.value(objective), float(np.std(values)))


def best_simple(candidates: Sequence[Candidate]) -> Candidate:
    """From the cheapest on, the last that gained more than a dearer policy must."""
    cheapest, *dearer = sorted(candidates, key=lambda candidate: candidate.held.cost)
    best = cheapest
    for candidate in dearer:
        gain, error = candidate.over(best)
        if gain > DEARER_ERRORS * error:
            best = candidate
    return best


def _candidate(option: Option, folds: Folds, task: Task) -> Candidate:
    held = held_out(option, folds, task)
    gains = resampled(held, task.objective, task.seed)
    return Candidate(option, held, held.gain(task.objective), gains)


def _tables(
    sample: ScoresFile, stages: Stages, plain: Policy, objective: Objective, costs: Sequence[float], seed: int
) -> Folds:
    simple = tabulate(plain, stages, sample, objective, costs)
    fold = fold_of(_kin(simple, sample), simple.inside, seed)
    tables = {("plain", number): simple for number in range(FOLDS)}
    for structure in STRUCTURES[1:]:
        for number in range(FOLDS):
            kept = np.flatnonzero((fold != number) & simple.inside)
            policy = structured(plain, structure, stages, sample, kept)
            tables[structure, number] = tabulate(policy, stages, sample, objective, costs)
    return Folds(fold, tables)


def _kin(table: Table, sample: ScoresFile) -> NDArray[np.int64]:
    """The groups, where out-of-distribution rows of one family, if there are several, are one: what is
    learnt from one family must hold for another."""
    if len(sample.families) < 2 or table.inside.all():
        return table.group
    _, family = np.unique(sample.ood_families, return_inverse=True)
    kin = table.group.copy()
    kin[~table.inside] = family
    return kin


def held_out(option: Option, folds: Folds, task: Task) -> HeldOut:
    """What fits by `option` make of each fold, fitted on the others."""
    task = replace(task, ranked_by=option.ranked_by)
    parts, costs = [], []
    for fold in range(FOLDS):
        kept, held = folds.divided(option.structure, fold)
        laid = SHAPES[option.shape](kept, task)
        played = play(held, laid.cuts, task.seed)
        parts.append(
            (laid.ranks(held, played), outcome_of(held, played), held.weight, held.group, held.inside)
        )
        costs.append(played.cost)
    rank, outcome, weight, group, inside = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return HeldOut(rank, outcome, weight, group, inside, float(np.mean(costs)))


def resampled(held: HeldOut, objective: Objective, seed: int) -> Array:
    """Gains under resamples of the groups, within and out of distribution, the same ones for every option."""
    rng = np.random.default_rng(seed)
    return np.array([held.gain(objective, _counts(held, rng)) for _ in range(RESAMPLES)])


def _counts(held: HeldOut, rng: np.random.Generator) -> Array:
    """How often each row is drawn, with the other rows of its group."""
    counts = np.empty(len(held.group))
    for part in (held.inside, ~held.inside):
        names, inverse = np.unique(held.group[part], return_inverse=True)
        if len(names):
            counts[part] = rng.multinomial(len(names), np.full(len(names), 1 / len(names)))[inverse]
    return counts
