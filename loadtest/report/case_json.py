"""A case's figures as JSON. Pure."""

import math
from dataclasses import asdict
from typing import Any

from cascade.intervals import Estimate
from loadtest.figures.comparison import Difference
from loadtest.figures.quality import Quality
from loadtest.figures.results import CaseResult
from loadtest.figures.statistics import LoadFigures
from loadtest.figures.under_load import UnderLoad

# Figures under load that have no interval.
PLAIN = ("cost", "degraded", "shed", "failed", "good", "kept", "in_time")


def case_to_json(result: CaseResult) -> dict[str, Any]:
    case, capacity = result.case, result.capacity
    return {
        "contender": case.contender,
        "over": case.over,
        "model": case.served.name,
        "policy": case.policy,
        "url": case.target.url,
        "quality": quality_to_json(result.quality),
        "load": load_figures_to_json(result.load),
        "under_load": under_load_to_json(result.under_load),
        "capacity": None
        if capacity is None
        else {**asdict(capacity), "is_generator_limited": capacity.is_generator_limited},
        "difference": None if result.difference is None else difference_to_json(result.difference),
    }


def quality_to_json(quality: Quality) -> dict[str, Any]:
    """Cost as `cascade evaluate --json` names it; shares have their interval with them."""
    check = quality.cost_check
    return {
        "accuracy": share_to_json(quality.accuracy),
        "coverage": share_to_json(quality.coverage),
        "risk": share_to_json(quality.risk),
        "agreement": share_to_json(quality.agreement),
        "exits": [share_to_json(share) for share in quality.exit_shares],
        "exit_reasons": quality.exit_reasons,
        "cost": quality.cost,
        "cost_macs": quality.cost_macs,
        "executed_macs": None if check is None else check.executed_macs,
        "is_cost_matched": None if check is None else check.is_match,
        "aurc": quality.aurc,
        "ood_accepted": share_to_json(quality.ood_accepted),
        "degraded_answers": quality.num_degraded,
    }


def load_figures_to_json(load: LoadFigures) -> dict[str, Any]:
    """Null where a percentile falls among the requests without an answer."""
    return {
        **asdict(load),
        "num_errors": load.num_errors,
        "offered_requests_per_s": load.offered_rate,
        "generator": {**asdict(load.generator), "is_valid": load.generator.is_valid},
    }


def under_load_to_json(figures: UnderLoad) -> dict[str, Any]:
    shares = {
        name: share_to_json(getattr(figures, name))
        for name in ("accuracy", "answered_accuracy", "coverage", "risk", "agreement")
    }
    plain = {name: getattr(figures, name) for name in PLAIN}
    return {**shares, "exits": [share_to_json(share) for share in figures.exit_shares], **plain}


def difference_to_json(difference: Difference) -> dict[str, Any]:
    return {
        name: share_to_json(value) if isinstance(value, Estimate) else value
        for name, value in vars(difference).items()
    }


def share_to_json(share: Estimate | None) -> dict[str, Any] | None:
    return asdict(share) if share is not None and share.is_known else None


def finite(value: Any) -> Any:
    """None in the place of what JSON has no word for."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
