"""What is compared for each model of the family: ways to use one, two or three members of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.policies.population import rank_of
from benchmarks.study.estimates import Array, Draw
from benchmarks.study.figures import (
    ACCEPTING,
    ACCURACY,
    AURC,
    AURC_FAR,
    AURC_NEAR,
    COVERAGE_AT_RISK,
    DETECTING,
    FAR_MIXED,
    NEAR_MIXED,
    RISK_AT_COVERAGE,
    RISKING,
)
from benchmarks.study.outputs import Outputs
from benchmarks.study.strange import FAMILIES, FAR, NEAR
from cascade.fitting.fit import FitSettings, fit
from cascade.metrics import aurc, auroc
from cascade.objectives.objective import Objective
from cascade.objectives.parse import parse_objective
from cascade.replay import replay
from cascade.window import Mask


@dataclass(frozen=True)
class Task:
    """What a policy is fitted for, on which score: as in the paper, MSP to accept or reject, energy to tell
    rows out of distribution."""

    objective: str
    score: str

    @property
    def parsed(self) -> Objective:
        return parse_objective(self.objective)


COVERAGE = Task("coverage@risk=0.05", "msp")
RISK = Task("risk@coverage=0.8", "msp")
DETECTION = Task("fpr@tpr=0.95", "energy")
TASKS = (COVERAGE, RISK, DETECTION)


@dataclass(frozen=True)
class Contender:
    """`fits` are fields of FitSettings; a budget is a multiple of the first stage's MACs."""

    name: str
    num_stages: int
    fits: Mapping[str, str] = field(default_factory=dict)


TWO, THREE = "1.2x", "1.3x"
SINGLE = Contender("single", 1, {"kind": "first"})
FULL = Contender("full", 2, {"kind": "full"})
THRESHOLD = Contender("threshold", 2, {"kind": "threshold", "budget": TWO})
PAPER = Contender("paper", 2, {"method": "paper", "budget": TWO})
WINDOW = Contender("window", 2, {"budget": TWO})
FULL_OF_THREE = Contender("full of 3", 3, {"kind": "full"})
THRESHOLD_OF_THREE = Contender("threshold of 3", 3, {"kind": "threshold", "budget": THREE})
WINDOW_OF_THREE = Contender("window of 3", 3, {"budget": THREE})
CONTENDERS = (
    *(SINGLE, FULL, THRESHOLD, PAPER, WINDOW),
    *(FULL_OF_THREE, THRESHOLD_OF_THREE, WINDOW_OF_THREE),
)
# A small member, and behind it one of the next larger model, at half of what both cost.
UPWARDS = Contender("small > large", 2, {"budget": "0.5full"})

OOD_SHARE = 0.2
"""Of the traffic, where rows out of distribution are mixed in; to accept one is an error."""


@dataclass(frozen=True)
class Played:
    """The test rows by falling rank; `order[i]` is the place in the test split of row i. `strange` are ranks,
    `reach` the shares (stages,) of the test rows that run each stage, `strange_reach` those of each
    family."""

    rank: Array
    is_correct: Mask
    order: NDArray[np.intp]
    reach: Array
    strange: Mapping[str, Array]
    strange_reach: Mapping[str, Array]


def play(contender: Contender, task: Task, outputs: Outputs, seed: int) -> Played:
    """Fitted on the calibration rows, which `seed` divides, and played on the test rows; members are in the
    order of their stages."""
    stages = tuple((name,) for name in outputs.names[: contender.num_stages])
    settings = FitSettings(objective=task.objective, score=task.score, seed=seed, **contender.fits)  # type: ignore[arg-type]
    policy = fit(outputs.calibration, stages, settings)
    inside = replay(policy, stages, outputs.test, keep_probabilities=False)
    outside = replay(policy, stages, outputs.test.ood_as_rows(), keep_probabilities=False)
    families = np.asarray(outputs.test.ood_families)
    rank, strange = rank_of(policy, inside), rank_of(policy, outside)
    order = np.argsort(-rank, kind="stable")
    return Played(
        rank=rank[order],
        is_correct=(inside.label == outputs.test.labels)[order],
        order=order,
        reach=_reach(inside.exit_stage, contender.num_stages),
        strange={name: strange[families == name] for name in FAMILIES},
        strange_reach={
            name: _reach(outside.exit_stage[families == name], contender.num_stages) for name in FAMILIES
        },
    )


def _reach(exits: NDArray[np.int32], num_stages: int) -> Array:
    return np.asarray((exits[:, None] > np.arange(num_stages)).mean(axis=0), np.float64)


def reach(by_task: Mapping[Task, Played]) -> dict[str, Array]:
    """Shares of rows (stages,) that run each stage, for each of the costs that go with figures."""
    selective = by_task[COVERAGE]
    return {
        ACCEPTING: selective.reach,
        RISKING: by_task[RISK].reach,
        DETECTING: by_task[DETECTION].reach,
        NEAR_MIXED: _mixed_reach(selective, (NEAR,)),
        FAR_MIXED: _mixed_reach(selective, FAR),
    }


def _mixed_reach(played: Played, families: Sequence[str]) -> Array:
    outside = np.mean([played.strange_reach[name] for name in families], axis=0)
    return np.asarray((1 - OOD_SHARE) * played.reach + OOD_SHARE * outside)


def selective_value(played: Played, task: Task, draw: Draw) -> float:
    """Of the tasks that accept or reject: what the task is about, read off the test rows' own curve."""
    return task.parsed.value(played.rank, played.is_correct, draw.counts[played.order])


def false_positives(played: Played, family: str, draw: Draw) -> float:
    """The share of a family accepted where 95% of the test rows are."""
    outside = played.strange[family][draw.strange[family]]
    rank = np.concatenate([played.rank, outside])
    outcome = np.concatenate([np.ones(len(played.rank)), np.zeros(len(outside))])
    weight = np.concatenate([draw.counts[played.order], np.ones(len(outside))])
    return DETECTION.parsed.value(rank, outcome, weight)


def detection(played: Played, family: str, draw: Draw) -> float:
    """AUROC of a family against the test rows."""
    outside = played.strange[family][draw.strange[family]]
    return auroc(played.rank, outside, draw.counts[played.order])


def mixed_aurc(played: Played, families: Sequence[str], draw: Draw) -> float:
    """AURC where a share of `OOD_SHARE` of the traffic is of these families in equal parts."""
    parts = [played.strange[family][draw.strange[family]] for family in families]
    inside = draw.counts[played.order]
    weights = [inside * (1 - OOD_SHARE) / inside.sum()]
    weights += [np.full(len(part), OOD_SHARE / len(parts) / len(part)) for part in parts]
    is_correct = np.concatenate([played.is_correct, np.zeros(sum(map(len, parts)), np.bool_)])
    return aurc(np.concatenate([played.rank, *parts]), is_correct, np.concatenate(weights))


def judge(by_task: Mapping[Task, Played], draw: Draw) -> dict[str, float]:
    """All figures of a contender under one draw."""
    selective, detecting = by_task[COVERAGE], by_task[DETECTION]
    counts = draw.counts[selective.order]
    return {
        COVERAGE_AT_RISK: selective_value(selective, COVERAGE, draw),
        RISK_AT_COVERAGE: selective_value(by_task[RISK], RISK, draw),
        ACCURACY: float(np.average(selective.is_correct, weights=counts)),
        AURC: aurc(selective.rank, selective.is_correct, counts),
        AURC_NEAR: mixed_aurc(selective, (NEAR,), draw),
        AURC_FAR: mixed_aurc(selective, FAR, draw),
        **{f"auroc {name}": detection(detecting, name, draw) for name in FAMILIES},
        **{f"fpr@95tpr {name}": false_positives(detecting, name, draw) for name in FAMILIES},
    }
