"""What every stage would say of every row: all that fitting looks at, however many the classes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.chunks import map_rows
from cascade.decision import judge, judge_subset, predictions
from cascade.objectives.objective import OUT_OF_DISTRIBUTION, Labels, Objective
from cascade.policy import Policy
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from cascade.window import NOTHING, Digests, Mask, Tie, Window, coin, digest

Index = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Per depth and row `(depths, rows)`: `score`, `outcome` in [0, 1] of an exit there, `event`, what the
    confidence is the chance of, whether the label is `correct` (never out of distribution), and whether all
    members so far, two at least, `agree` on it. Per row: whether it lies `inside` the distribution, `weight`
    for the objective, `traffic` for the cost, `group` of rows that are copies of one source, `digests` for
    coins. `costs` has one entry per stage.
    """

    score: Array
    outcome: Array
    event: Mask
    correct: Mask
    agree: Mask
    inside: Mask
    weight: Array
    traffic: Array
    group: NDArray[np.int64]
    digests: Digests
    costs: tuple[float, ...]

    @property
    def num_rows(self) -> int:
        return len(self.weight)

    @property
    def num_stages(self) -> int:
        return len(self.costs)

    def rows(self, index: Index) -> "Table":
        return Table(
            score=self.score[:, index],
            outcome=self.outcome[:, index],
            event=self.event[:, index],
            correct=self.correct[:, index],
            agree=self.agree[:, index],
            inside=self.inside[index],
            weight=self.weight[index],
            traffic=self.traffic[index],
            group=self.group[index],
            digests=self.digests[index],
            costs=self.costs,
        )


@dataclass(frozen=True)
class Cut:
    """The rows that one stage forwards: a window, and what the coin decides."""

    window: Window
    ties: tuple[Tie, ...] = ()

    def takes(self, table: Table, rows: Index, stage: int, seed: int) -> Mask:
        score = table.score[stage, rows]
        taken = self.window.contains(score)
        for tie in self.ties:
            tied = np.flatnonzero(score == tie.score)
            taken[tied] = coin(table.digests[rows[tied]], seed, stage) < tie.share
        return taken


@dataclass(frozen=True)
class Disagreement(Cut):
    """The rows whose members so far do not agree."""

    def takes(self, table: Table, rows: Index, stage: int, seed: int) -> Mask:
        return np.asarray(~table.agree[stage, rows])


NO_ROWS = Cut(NOTHING)
ALL_ROWS = Cut(Window(-math.inf, math.inf))
DISAGREEING = Disagreement(NOTHING)


@dataclass(frozen=True)
class Play:
    """Where rows exit: `depth` (rows,) counts from 0; `cost` is the mean per row of traffic."""

    depth: Index
    cost: float

    def reached(self, stage: int) -> Mask:
        return self.depth >= stage


def play(table: Table, cuts: Sequence[Cut], seed: int) -> Play:
    """Run all rows through the stages."""
    depth = np.zeros(table.num_rows, np.intp)
    reaching = np.arange(table.num_rows)
    spent = np.full(table.num_rows, table.costs[0])
    for stage, cut in enumerate(cuts):
        reaching = reaching[cut.takes(table, reaching, stage, seed)]
        depth[reaching] = stage + 1
        spent[reaching] += table.costs[stage + 1]
    return Play(depth, float(np.average(spent, weights=table.traffic)))


def tabulate(
    plain: Policy, stages: Stages, scores: ScoresFile, objective: Objective, costs: Sequence[float]
) -> Table:
    """The table of a scores file under the score, weights and temperatures of `plain`. Out-of-distribution
    rows come last, where the objective asks for them."""
    num_ood = scores.num_ood if objective.uses_ood else 0
    truth = np.r_[scores.labels, np.full(num_ood, OUT_OF_DISTRIBUTION)]
    parts = [_columns(plain, stages, scores.outputs, scores)]
    if num_ood:
        assert scores.ood_outputs is not None
        parts.append(_columns(plain, stages, scores.ood_outputs, scores))
    score, label, agree, digests = (np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True))
    groups = np.arange(scores.num_rows) if scores.groups is None else scores.groups
    return Table(
        score=score,
        outcome=objective.outcomes(score, label, truth),
        event=objective.events(label, truth),
        correct=label == truth,
        agree=agree,
        inside=truth != OUT_OF_DISTRIBUTION,
        weight=objective.weights(truth),
        traffic=objective.traffic(truth),
        group=np.r_[groups, groups.max() + 1 + np.arange(num_ood)],
        digests=digests,
        costs=tuple(costs),
    )


def _columns(
    plain: Policy, stages: Stages, outputs: NDArray[np.floating], scores: ScoresFile
) -> tuple[Array, Labels, Mask, Digests]:
    """Score, label and agreement `(depths, rows)`, and digest `(rows,)`, of outputs as in a scores file."""
    slots = [scores.member(name) for names in stages for name in names]
    sizes = [sum(map(len, stages[: stage + 1])) for stage in range(len(stages))]
    kinds = [scores.kind] * len(slots)

    def columns(rows: slice) -> tuple[Array, Labels, Mask, Digests]:
        raw = [np.asarray(outputs[slot, rows]) for slot in slots]
        members = predictions(plain, raw, kinds)
        verdicts = [
            judge(plain, stage, members[:size], raw[:size], kinds[:size]) for stage, size in enumerate(sizes)
        ]
        own = np.stack([member.argmax(axis=-1) for member in members])
        agree = [np.full(own.shape[1], size > 1) & (own[:size] == own[0]).all(axis=0) for size in sizes]
        score = np.stack([verdict.score for verdict in verdicts])
        label = np.stack([verdict.label for verdict in verdicts])
        return score, label, np.stack(agree), digest(raw[0])

    chunks = map_rows(columns, outputs.shape[1], outputs.shape[2])
    score, label, agree, digests = (np.concatenate(parts, axis=-1) for parts in zip(*chunks, strict=True))
    return score, label, agree, digests


def subset_table(
    policy: Policy, stages: Stages, scores: ScoresFile, answered: Sequence[str], objective: Objective
) -> tuple[Array, Array, Mask]:
    """Score, outcome and event `(rows,)` of the table's rows, had only these members answered."""
    slots = [scores.member(name) for name in answered]
    kinds = [scores.kind] * len(slots)

    def columns(outputs: NDArray[np.floating]) -> Iterator[tuple[Array, Labels]]:
        def part(rows: slice) -> tuple[Array, Labels]:
            raw = [np.asarray(outputs[slot, rows]) for slot in slots]
            verdict = judge_subset(policy, stages, answered, raw, kinds)
            return verdict.score, verdict.label

        return map_rows(part, *outputs.shape[1:])

    chunks = list(columns(scores.outputs))
    if objective.uses_ood and scores.ood_outputs is not None:
        chunks += columns(scores.ood_outputs)
    score, label = (np.concatenate(parts)[None] for parts in zip(*chunks, strict=True))
    truth = np.r_[scores.labels, np.full(score.shape[1] - scores.num_rows, OUT_OF_DISTRIBUTION)]
    return score[0], objective.outcomes(score, label, truth)[0], objective.events(label, truth)[0]
