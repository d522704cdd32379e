"""What becomes of out-of-distribution rows."""

from typing import Any

import numpy as np

from cascade.case import Case, interval_or_none
from cascade.intervals import share_interval
from cascade.metrics import auroc, selective_risk


def ood_figures(case: Case) -> dict[str, Any] | None:
    """What becomes of out-of-distribution rows; with a share of them in the objective's traffic, the promise
    is about the mixture."""
    outside = case.outside
    if outside is None:
        return None
    families = np.array(case.scores.ood_families)
    rank = case.rank(outside)
    figures: dict[str, Any] = {
        "rows": case.scores.num_ood,
        "accepted": float(outside.accepted.mean()),
        "interval": interval_or_none(share_interval(outside.accepted)),
        "auroc": auroc(case.rank(case.inside), rank, case.prior),
        "families": {
            family: {
                "rows": int((families == family).sum()),
                "accepted": float(outside.accepted[families == family].mean()),
                "auroc": auroc(case.rank(case.inside), rank[families == family], case.prior),
            }
            for family in case.scores.families
        },
    }
    if case.objective.uses_ood and case.objective.name != "fpr@tpr":
        figures["mixture"] = mixture(case)
    return figures


def mixture(case: Case) -> dict[str, Any]:
    """Over all traffic, out of distribution too."""
    accepted, weight, groups = case.all_accepted, case.all_weight, case.all_groups
    coverage = share_interval(accepted, groups, weight=weight)
    risk = share_interval(~case.all_event[accepted], groups[accepted], weight=weight[accepted])
    return {
        "coverage": float(np.average(accepted, weights=weight)),
        "risk": selective_risk(accepted, case.all_event, weight),
        "intervals": {"coverage": interval_or_none(coverage), "risk": interval_or_none(risk)},
    }
