"""How a policy does on a scores file that it has not seen."""

from typing import Any

import numpy as np

from cascade.fit import stage_macs
from cascade.intervals import share_interval
from cascade.metrics import aurc, brier, cost_macs, negative_log_likelihood, selective_risk
from cascade.objective import parse_objective
from cascade.policy import Policy
from cascade.replay import Replay, replay
from cascade.scores_file import ScoresFile
from cascade.stages import Stages


def evaluate(
    policy: Policy, stages: Stages, scores: ScoresFile, max_stages: int | None = None
) -> dict[str, Any]:
    """Figures of a policy; shares are of all rows, `cost` is a multiple of stage 1.

    `coverage` and `risk` use the deployed `accept_above`; the objective's value is read off these rows'
    own risk-coverage curve.
    """
    played = replay(policy, stages, scores, max_stages)
    macs = stage_macs(scores, stages)
    correct = played.label == scores.labels
    return {
        "rows": scores.num_rows,
        "accuracy": float(correct.mean()),
        "coverage": float(played.accepted.mean()),
        "risk": selective_risk(played.accepted, correct),
        "intervals": _intervals(played, correct, scores),
        "cost": cost_macs(played.exit_stage, macs) / macs[0],
        "cost_macs": cost_macs(played.exit_stage, macs),
        "forwarded": list(played.forwarded()),
        "exits": [float((played.exit_stage == stage + 1).mean()) for stage in range(len(stages))],
        "aurc": aurc(played.score, correct),
        "negative_log_likelihood": negative_log_likelihood(played.probabilities, scores.labels),
        "brier": brier(played.confidence, correct),
        "objective": _objective(policy, played, correct),
    }


def _intervals(
    played: Replay, correct: np.ndarray[Any, np.dtype[np.bool_]], scores: ScoresFile
) -> dict[str, Any]:
    groups = scores.groups
    accepted_groups = None if groups is None else groups[played.accepted]
    intervals = {
        "accuracy": share_interval(correct, groups),
        "coverage": share_interval(played.accepted, groups),
        "risk": share_interval(~correct[played.accepted], accepted_groups),
    }
    return {name: None if np.isnan(interval[0]) else list(interval) for name, interval in intervals.items()}


def _objective(
    policy: Policy, played: Replay, correct: np.ndarray[Any, np.dtype[np.bool_]]
) -> dict[str, Any] | None:
    if policy.objective is None:
        return None
    objective = parse_objective(policy.objective)
    target = None if np.isnan(objective.target) else objective.target
    return {"name": objective.name, "target": target, "value": objective.value(played.score, correct)}
