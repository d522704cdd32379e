"""Fitting a policy to an objective under a budget.

The rows are halved by group. The rule (windows, thresholds) and the calibrators are chosen on one half;
the acceptance thresholds are set on the other, whose rows chose nothing before.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cascade.budget import parse_budget
from cascade.calibration import Calibrator, fit_calibrator
from cascade.errors import FitError, PolicyError
from cascade.intervals import share_interval
from cascade.metrics import cost_macs, selective_risk
from cascade.objective import Objective, parse_objective
from cascade.policy import ACCEPT_NONE, NOTHING, Policy, Window, rule_named
from cascade.replay import replay, stage_verdicts
from cascade.scores import score_named
from cascade.scores_file import ScoresFile
from cascade.stages import Stages
from cascade.widening import Cut, StageRows, widest_within, window_around, window_below

MIN_ROWS = 40
BUDGETED: dict[str, Cut] = {"window": window_around, "threshold": window_below}


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What is asked for. `budget` binds `window` and `threshold`; the other kinds cost what they cost."""

    kind: str = "window"
    objective: str = "coverage@risk=0.05"
    budget: str = "1.3x"
    score: str = "msp"
    seed: int = 0

    def __post_init__(self) -> None:
        rule_named(self.kind)
        score_named(self.score)
        parse_objective(self.objective)
        parse_budget(self.budget)
        if self.seed < 0:
            raise FitError(f"seed must be 0 or more, got {self.seed}")


def fit(scores: ScoresFile, stages: Stages, settings: FitSettings) -> Policy:
    """Fit a policy of one kind. FitError where the rows are too few or the budget cannot be kept."""
    if scores.num_rows < MIN_ROWS:
        raise FitError(f"{scores.num_rows} rows are too few to fit on; at least {MIN_ROWS} are needed")
    if score_named(settings.score).read_from == "logits" and scores.kind != "logits":
        raise PolicyError(
            f"score {settings.score!r} needs logits, and the scores file has probabilities alone"
        )
    macs = stage_macs(scores, stages)
    objective = parse_objective(settings.objective)
    choosing, accepting = halves(scores, settings.seed)
    policy = _rule(choosing, stages, settings, objective, macs)
    policy = replace(policy, calibrators=_calibrators(policy, stages, choosing))
    policy = _with_acceptance(policy, stages, accepting, objective)
    return replace(policy, evidence=_evidence(policy, stages, accepting, macs, settings.seed))


def stage_macs(scores: ScoresFile, stages: Stages) -> tuple[float, ...]:
    return tuple(sum(scores.macs[scores.member(name)] for name in stage) for stage in stages)


def halves(scores: ScoresFile, seed: int) -> tuple[ScoresFile, ScoresFile]:
    """Two halves of the rows by a seeded draw; a group is never divided."""
    groups = np.arange(scores.num_rows) if scores.groups is None else scores.groups
    names = np.unique(groups)
    drawn = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    first = np.isin(groups, drawn)
    if min(first.sum(), (~first).sum()) < MIN_ROWS // 2:
        raise FitError(f"the rows' {len(names)} groups cannot be divided into two halves of rows")
    return scores.rows(np.flatnonzero(first)), scores.rows(np.flatnonzero(~first))


def _rule(
    scores: ScoresFile, stages: Stages, settings: FitSettings, objective: Objective, macs: Sequence[float]
) -> Policy:
    """A policy of the kind asked for, as wide as its budget allows, accepting every row."""
    sha256 = dict(zip(scores.names, scores.sha256, strict=True)) if scores.sha256 else {}
    undecided = Policy(
        kind="full",
        num_stages=len(stages),
        score=settings.score,
        members={name: sha256.get(name) for stage in stages for name in stage},
        objective=str(objective),
    )
    if settings.kind not in BUDGETED:
        return replace(undecided, kind=settings.kind)
    rows = [
        StageRows(verdict.score, objective.accept_above(verdict.score, verdict.label == scores.labels))
        for verdict in stage_verdicts(undecided, stages, scores)
    ]
    budget_macs = parse_budget(settings.budget).macs(macs)
    windows = widest_within(rows, macs, budget_macs, BUDGETED[settings.kind]).windows
    if settings.kind == "window":
        return replace(undecided, kind="window", windows=windows, budget=settings.budget)
    thresholds = tuple(strict_threshold(window) for window in windows)
    return replace(undecided, kind="threshold", thresholds=thresholds, budget=settings.budget)


def strict_threshold(window: Window) -> float:
    """The threshold below which lie just the scores of a window open below, its upper end included."""
    return window.hi if window == NOTHING else float(np.nextafter(window.hi, np.inf))


def _calibrators(policy: Policy, stages: Stages, scores: ScoresFile) -> tuple[Calibrator | None, ...]:
    """P(correct) given the score at a depth, on the rows that reach that depth.

    Whether such a row exits or goes on follows from its score, so given the score the two are alike,
    and a row that is cut short is covered too. (Under `agreement` this holds only nearly.)
    """
    played = replay(policy, stages, scores)
    correct = [verdict.label == scores.labels for verdict in stage_verdicts(policy, stages, scores)]
    return tuple(
        fit_calibrator(played.stage_scores[stage][reached], correct[stage][reached])
        for stage in range(len(stages))
        for reached in (played.reached(stage),)
    )


def _with_acceptance(policy: Policy, stages: Stages, scores: ScoresFile, objective: Objective) -> Policy:
    """One threshold for all rows that the rule lets go, and one per depth for rows cut short there."""
    played = replay(policy, stages, scores)
    above = objective.accept_above(played.score, played.label == scores.labels)
    cut = [_cut_threshold(policy, stages, scores, depth, objective) for depth in range(1, len(stages))]
    return replace(
        policy,
        accept_above=(above,) * len(stages),
        accept_above_cut=(*cut, ACCEPT_NONE),
    )


def _cut_threshold(
    policy: Policy, stages: Stages, scores: ScoresFile, depth: int, objective: Objective
) -> float:
    """The threshold is fitted on the very rows that are cut, which are the harder ones."""
    whole = replay(policy, stages, scores)
    short = replay(policy, stages, scores, max_stages=depth)
    cut = whole.reached(depth)
    return objective.accept_above(short.score[cut], (short.label == scores.labels)[cut])


def _evidence(
    policy: Policy, stages: Stages, scores: ScoresFile, macs: Sequence[float], seed: int
) -> dict[str, Any]:
    """What the policy does on the rows that set its acceptance. An estimate, no guarantee: those rows
    chose the threshold, so the risk is seen a little too low."""
    played = replay(policy, stages, scores)
    correct = played.label == scores.labels
    groups = scores.groups
    accepted_groups = None if groups is None else groups[played.accepted]
    return {
        "rows": scores.num_rows,
        "seed": seed,
        "certified": False,
        "accuracy": _estimate(float(correct.mean()), share_interval(correct, groups)),
        "coverage": _estimate(float(played.accepted.mean()), share_interval(played.accepted, groups)),
        "risk": _estimate(
            selective_risk(played.accepted, correct),
            share_interval(~correct[played.accepted], accepted_groups),
        ),
        "cost": cost_macs(played.exit_stage, macs) / macs[0],
        "forwarded": list(played.forwarded()),
    }


def _estimate(value: float, interval: tuple[float, float]) -> list[float | None]:
    """`[value, lower, upper]`, null where there was no row."""
    return [None if math.isnan(number) else round(number, 6) for number in (value, *interval)]
