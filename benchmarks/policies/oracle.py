"""The best a gate could do: it knows for each row what every exit would give, and forwards the best.

Ranks and thresholds stay those of calibrated scores; only the choice of rows is the oracle's. A bound for
two stages, to measure how much of the way from the paper's rule a fit has come.

At one threshold rows differ only in whether each exit accepts them and errs, so they are counted by these
sixteen kinds.
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

# Of each kind whether the first and the second exit accept it, and whether they err.
ACCEPTS = np.array([[kind >> 3 & 1, kind >> 2 & 1] for kind in range(16)], np.float64)
ERRORS = np.array([[kind >> 1 & 1, kind & 1] for kind in range(16)], np.float64)


def oracle_value(table: Table, objective: Objective, forwarded: float) -> float:
    """The objective's best value where a share of `forwarded` rows goes to the second stage; a coverage of 0
    where no threshold keeps the risk. Outcomes are 0 or 1."""
    confidence = np.stack(
        [isotonic(score, event)(score) for score, event in zip(table.score, table.event, strict=True)]
    )
    thresholds = np.quantile(confidence, np.linspace(0, 1, THRESHOLDS))
    found = [
        value
        for threshold in thresholds
        if (value := _best(_kinds(confidence >= threshold, table.outcome), objective, forwarded)) is not None
    ]
    if isinstance(objective, RiskAtCoverage):
        return min(found)
    return max(found, default=0.0)


def _kinds(accepted: NDArray[np.bool_], outcome: Array) -> Array:
    """The share of rows (16,) of each kind."""
    wrong = accepted & (outcome < 1)
    codes = accepted[0] * 8 + accepted[1] * 4 + wrong[0] * 2 + wrong[1]
    return np.bincount(codes, minlength=16) / len(codes)


def _best(shares: Array, objective: Objective, forwarded: float) -> float | None:
    """Over the prices of an error against an acceptance, the best choice that keeps the constraint."""
    best = None
    for price in PRICES:
        if isinstance(objective, CoverageAtRisk):
            worth = ACCEPTS - price * (ERRORS - objective.risk * ACCEPTS)
        else:
            worth = price * ACCEPTS - ERRORS
        taken = _taken(worth[:, 1] - worth[:, 0], shares, forwarded)
        coverage, errors = (
            float(shares @ of[:, 0] + taken @ (of[:, 1] - of[:, 0])) for of in (ACCEPTS, ERRORS)
        )
        value = _value(coverage, errors, objective)
        if value is not None and (best is None or _is_better(value, best, objective)):
            best = value
    return best


def _taken(gain: Array, shares: Array, forwarded: float) -> Array:
    """How much of each kind is forwarded: the most gainful first, as far as the share reaches."""
    order = np.argsort(-gain, kind="stable")
    wanted = np.where(gain > 0, shares, 0.0)[order]
    before = np.cumsum(wanted) - wanted
    taken = np.empty_like(wanted)
    taken[order] = np.clip(forwarded - before, 0.0, wanted)
    return taken


def _value(coverage: float, errors: float, objective: Objective) -> float | None:
    """Coverage where the risk is kept, or risk where the coverage is; None where it is not."""
    risk = errors / coverage if coverage > 0 else 0.0
    if isinstance(objective, CoverageAtRisk):
        return coverage if risk <= objective.risk + 1e-12 else None
    assert isinstance(objective, RiskAtCoverage)
    return risk if coverage >= objective.coverage - 1e-12 else None


def _is_better(value: float, best: float, objective: Objective) -> bool:
    return value < best if objective.is_lower_better else value > best
