"""What a fitted policy does on the rows that set its thresholds: kept beside it, for its user to weigh.

Estimates, unless certified: those rows chose the final threshold, so the risk is seen a little too low.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.fitting.shape import Laid, outcome_of
from cascade.fitting.table import Play, Table, play
from cascade.intervals import share_interval
from cascade.metrics import brier, calibration_error, event_log_loss, score_quantiles, selective_risk
from cascade.objectives.objective import Objective
from cascade.policy import Policy
from cascade.scores import Array
from cascade.window import Mask


def evidence_of(policy: Policy, laid: Laid, table: Table, objective: Objective) -> dict[str, Any]:
    """Shares and rates are of rows in distribution, as `[value, lower, upper]` at 95%."""
    played = play(table, laid.cuts, policy.tie_seed)
    rows = np.arange(table.num_rows)
    accepted = table.score[played.depth, rows] >= np.asarray(policy.accept_above)[played.depth]
    correct = table.correct[played.depth, rows]
    inside = table.inside
    kept = accepted & inside
    value = objective.value(laid.ranks(table, played), outcome_of(table, played), table.weight)
    evidence: dict[str, Any] = {
        "accuracy": _estimate(correct[inside], table.group[inside]),
        "coverage": _estimate(accepted[inside], table.group[inside]),
        "risk": _estimate(~correct[kept], table.group[kept], selective_risk(kept, correct)),
        "objective_value": None if math.isnan(value) else round(value, 6),
        "cost": played.cost / table.costs[0],
        "forwarded": [
            float(np.average(played.reached(depth), weights=table.traffic))
            for depth in range(1, table.num_stages)
        ],
        "score_quantiles": score_quantiles(table.score[0], table.traffic),
        "calibration": [_calibration(laid, table, played, depth) for depth in range(table.num_stages)],
    }
    if objective.uses_ood:
        evidence["mixture"] = _mixture(accepted, outcome_of(table, played), table)
    return evidence


def _mixture(accepted: Mask, outcome: Array, table: Table) -> dict[str, list[float | None]]:
    """Coverage and risk over all traffic, out of distribution too, which is what the objective is about."""
    weight = table.weight
    wrong = outcome[accepted] < 0.5
    return {
        "coverage": _weighted(accepted, table.group, weight),
        "risk": _weighted(wrong, table.group[accepted], weight[accepted]),
    }


def _weighted(hits: Mask, groups: NDArray[np.int64], weight: Array) -> list[float | None]:
    share = float(np.average(hits, weights=weight)) if len(hits) else math.nan
    numbers = (share, *share_interval(hits, groups, weight=weight))
    return [None if math.isnan(number) else round(number, 6) for number in numbers]


def _estimate(hits: Mask, groups: Any, value: float | None = None) -> list[float | None]:
    """`[value, lower, upper]`, null where there was no row."""
    share = float(hits.mean()) if len(hits) else math.nan
    numbers = (share if value is None else value, *share_interval(hits, groups))
    return [None if math.isnan(number) else round(number, 6) for number in numbers]


def _calibration(laid: Laid, table: Table, played: Play, depth: int) -> dict[str, float] | None:
    """How good the confidence of rows that exit at a depth is; null where none does."""
    rows, calibrator = played.depth == depth, laid.calibrators[depth]
    if calibrator is None or not rows.any():
        return None
    confidence, event = calibrator(table.score[depth, rows]), table.event[depth, rows]
    return {
        "negative_log_likelihood": round(event_log_loss(confidence, event), 6),
        "brier": round(brier(confidence, event), 6),
        "calibration_error": round(calibration_error(confidence, event), 6),
    }
