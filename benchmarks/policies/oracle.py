"""The best a gate could do: it knows for each row what every exit would give, and forwards the best.

Ranks and thresholds stay those of calibrated scores; only the choice of rows is the oracle's. A bound for
two stages, to measure how much of the way from the paper's rule a fit has come.
"""

import numpy as np
from numpy.typing import NDArray

from cascade.fitting.calibration import isotonic
from cascade.fitting.table import Table
from cascade.objectives.objective import Objective
from cascade.objectives.selective import CoverageAtRisk, RiskAtCoverage

Array = NDArray[np.float64]
THRESHOLDS = 150
PRICES = np.concatenate(([0.0], np.geomspace(0.01, 1000, 120)))


def oracle_value(table: Table, objective: Objective, forwarded: float) -> float:
    """The objective's best value where a share of `forwarded` rows goes to the second stage; a coverage of 0
    where no threshold keeps the risk."""
    confidence = np.stack(
        [isotonic(score, event)(score) for score, event in zip(table.score, table.event, strict=True)]
    )
    most = round(forwarded * table.num_rows)
    thresholds = np.quantile(confidence, np.linspace(0, 1, THRESHOLDS))
    found = [_best(confidence >= threshold, table.outcome, objective, most) for threshold in thresholds]
    if isinstance(objective, RiskAtCoverage):
        return min(value for value in found if value is not None)
    return max((value for value in found if value is not None), default=0.0)


def _best(accepted: NDArray[np.bool_], outcome: Array, objective: Objective, most: int) -> float | None:
    """Over the prices of an error against an acceptance, the best choice that keeps the constraint."""
    accepts = accepted.astype(np.float64)
    errors = accepts * (1 - outcome)
    best = None
    for price in PRICES:
        if isinstance(objective, CoverageAtRisk):
            worth = accepts - price * (errors - objective.risk * accepts)
        else:
            worth = price * accepts - errors
        gain = worth[1] - worth[0]
        chosen = np.argsort(-gain, kind="stable")[:most]
        forward = np.zeros(len(gain), np.bool_)
        forward[chosen[gain[chosen] > 0]] = True
        kept, wrong = (np.where(forward, of[1], of[0]) for of in (accepts, errors))
        value = _value(kept, wrong, objective)
        if value is not None and (best is None or _is_better(value, best, objective)):
            best = value
    return best


def _value(accepts: Array, errors: Array, objective: Objective) -> float | None:
    """Coverage where the risk is kept, or risk where the coverage is; None where it is not."""
    coverage, risk = accepts.mean(), errors.sum() / max(accepts.sum(), 1)
    if isinstance(objective, CoverageAtRisk):
        return float(coverage) if risk <= objective.risk else None
    assert isinstance(objective, RiskAtCoverage)
    return float(risk) if coverage >= objective.coverage else None


def _is_better(value: float, best: float, objective: Objective) -> bool:
    return value < best if objective.is_lower_better else value > best
