"""What a policy does on a scores file that it has not seen.

Shares and rates are of rows in distribution; out-of-distribution rows count where the objective has them
count, and never in the accuracy. Target class priors weigh the rows in all figures.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.case import Case, interval_or_none
from cascade.decision import ExitReason
from cascade.errors import FormatError
from cascade.fitting.budget import parse_budget, stage_costs
from cascade.intervals import bootstrap_interval, kish, share_interval
from cascade.metrics import (
    aurc,
    brier,
    calibration_error,
    event_log_loss,
    log_loss,
    selective_risk,
)
from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.parse import parse_objective
from cascade.ood_figures import mixture, ood_figures
from cascade.policy import Policy
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.spending import in_unit_of
from cascade.stages import Stages
from cascade.verdict import deployed_figure, verdict
from cascade.window import Mask

MIN_CLASS_ROWS = 10
"""The risk of a class with fewer accepted rows is left unsaid."""


def evaluate(
    policy: Policy,
    stages: Stages,
    scores: ScoresFile,
    max_stages: int | None = None,
    *,
    failed: Collection[str] = (),
    priors: Sequence[float] | None = None,
    ood_families: Collection[str] | None = None,
) -> dict[str, Any]:
    """Figures of a policy; `cost` is a multiple of stage 1 in MACs, `cost_in_budget` what its budget counts.

    `coverage` and `risk` use the deployed `accept_above`; the objective's value is read off these rows'
    own risk-coverage curve. A decision ranks no rows by how sure they are, so there `aurc` is None. `priors`
    are target shares of the classes. The OOD rows judged are those of `ood_families`, or of all families that
    the policy was not fitted on. Where the objective needs some and none are left, its value is None, and
    `notes` say why.
    """
    if not scores.is_labelled:
        raise FormatError("labels are missing, and without them nothing can be judged")
    objective = parse_objective(policy.objective or "accuracy")
    judged = scores.ood_of(_families(policy, scores, ood_families))
    case = Case(policy, stages, judged, objective, max_stages, tuple(failed), priors)
    return {
        **_circumstances(case),
        "rows": judged.num_rows,
        "effective_rows": kish(case.prior),
        **_shares(case),
        **_costs(case),
        **_calibration(case),
        "class_risk": _class_risk(case),
        "ood": ood_figures(case),
        "decision": _decision(case),
        "objective": _objective(case),
        "notes": _notes(case, scores),
    }


def _families(policy: Policy, scores: ScoresFile, asked: Collection[str] | None) -> tuple[str, ...]:
    """The families to judge on: none that the policy was fitted on."""
    fitted = set(policy.evidence.get("ood_families", ()))
    if asked is not None:
        seen = sorted(fitted & set(asked))
        if seen:
            raise FormatError(f"the policy was fitted on OOD family {', '.join(seen)}: that judges nothing")
        scores.ood_of(asked)
        return tuple(asked)
    return tuple(family for family in scores.families if family not in fitted)


def _notes(case: Case, scores: ScoresFile) -> list[str]:
    """What keeps the figures from being whole."""
    if not case.lacks_ood:
        return []
    there = "none"
    if scores.num_ood:
        fitted = set(scores.families) <= set(case.policy.evidence.get("ood_families", ()))
        there = f"only those that the policy was fitted on ({', '.join(scores.families)})"
        there = there if fitted else "none among those asked for"
    return [
        f"{case.objective} needs OOD rows, and there are {there}: it has no value here, "
        "and the other figures are of rows in distribution"
    ]


def _circumstances(case: Case) -> dict[str, Any]:
    """What was judged, under which conditions, and what was promised of it."""
    evidence = case.policy.evidence
    return {
        "kind": case.policy.kind,
        "budget": case.policy.budget,
        "certified": evidence.get("certified") is True,
        "delta": evidence.get("delta"),
        "max_stages": case.max_stages,
        "failed": list(case.failed),
        "priors": None if case.priors is None else [float(prior) for prior in case.priors],
    }


def _shares(case: Case) -> dict[str, Any]:
    correct, rank = case.correct, case.rank(case.inside)
    accepted = _accepted_shares(case)
    return {
        **accepted,
        "accuracy": float(np.average(correct, weights=case.prior)),
        "aurc": None if case.is_decision else aurc(rank, correct, case.prior),
        "intervals": {
            **accepted["intervals"],
            "accuracy": case.share(correct),
            "aurc": None if case.is_decision else _resampled_aurc(case, rank),
        },
    }


def _accepted_shares(case: Case) -> dict[str, Any]:
    """What is accepted in distribution, and how much of it is wrong."""
    accepted, correct = case.inside.accepted, case.correct
    return {
        "coverage": float(np.average(accepted, weights=case.prior)),
        "risk": selective_risk(accepted, correct, case.prior),
        "intervals": {"coverage": case.share(accepted), "risk": case.share(~correct, accepted)},
    }


def _resampled_aurc(case: Case, rank: Array) -> list[float] | None:
    order = np.argsort(-rank, kind="stable")
    ranked, correct, prior = rank[order], case.correct[order], case.prior[order]
    return interval_or_none(
        bootstrap_interval(lambda counts: aurc(ranked, correct, prior * counts[order]), [case.groups])
    )


def _costs(case: Case) -> dict[str, Any]:
    """Of the rows that the objective counts as traffic; members that failed did no work."""
    scores, traffic = case.scores, case.all_traffic
    exits = np.concatenate([played.exit_stage for played in case.all])
    reasons = np.concatenate([played.exit_reason for played in case.all])
    working = tuple(tuple(name for name in names if name not in case.failed) for names in case.stages)
    macs = _mean_cost(stage_costs(scores.macs, scores, working), exits, traffic)
    left = [float(np.average(exits == stage + 1, weights=traffic)) for stage in range(len(case.stages))]
    figures = {
        "cost": macs / stage_costs(scores.macs, scores, case.stages)[0],
        "cost_macs": macs,
        "forwarded": [float(np.average(exits > k, weights=traffic)) for k in range(1, len(case.stages))],
        "exits": left,
        "exit_reasons": {
            ExitReason(reason).wire_name: float(np.average(reasons == reason, weights=traffic))
            for reason in np.unique(reasons)
        },
    }
    if scores.seconds:
        seconds = stage_costs(scores.seconds, scores, working)
        figures["cost_seconds"] = _mean_cost(seconds, exits, traffic)
    return figures | {"cost_in_budget": _cost_in_budget(case, figures)}


def _cost_in_budget(case: Case, figures: dict[str, Any]) -> dict[str, Any] | None:
    """Null without a budget, or where it is in seconds and none were measured."""
    if case.policy.budget is None:
        return None
    budget = parse_budget(case.policy.budget)
    if budget.is_seconds and not case.scores.seconds:
        return None
    spent = figures["cost_seconds" if budget.is_seconds else "cost_macs"]
    costs = budget.stage_costs(case.scores, case.stages)
    return {"value": in_unit_of(budget, spent, costs), "unit": budget.unit}


def _mean_cost(costs: Sequence[float], exits: NDArray[np.int32], traffic: Array) -> float:
    return float(np.average(np.cumsum(costs)[exits - 1], weights=traffic))


def _calibration(case: Case) -> dict[str, Any]:
    """How good the probabilities are, and the confidence: of all rows, and of those that exit at a depth."""
    confidence = np.concatenate([played.confidence for played in case.all])
    exits = np.concatenate([played.exit_stage for played in case.all])
    return {
        "negative_log_likelihood": log_loss(case.inside.label_probability, case.prior),
        "brier": brier(confidence, case.all_event, case.all_weight),
        "calibration": [
            _calibration_of(case, confidence, exits == stage + 1) for stage in range(len(case.stages))
        ],
    }


def _calibration_of(case: Case, confidence: Array, rows: Mask) -> dict[str, float] | None:
    """Null where no row exits."""
    chance, event, weight = confidence[rows], case.all_event[rows], case.all_weight[rows]
    if weight.sum() <= 0:
        return None
    return {
        "rows": int(rows.sum()),
        "negative_log_likelihood": event_log_loss(chance, event, weight),
        "brier": brier(chance, event, weight),
        "calibration_error": calibration_error(chance, event, weight=weight),
    }


def _class_risk(case: Case) -> dict[str, Any] | None:
    """The class, by true label, whose accepted rows are wrong most often: under a shift of prevalence the
    risk is a mixture of these. The interval holds for all classes that were compared at once. A decision
    accepts nothing, so nothing accepted can be wrong."""
    if case.is_decision:
        return None
    accepted, labels = case.inside.accepted, case.scores.labels
    rows = np.bincount(labels[accepted], minlength=case.scores.num_classes)
    errors = np.bincount(labels[accepted & ~case.correct], minlength=case.scores.num_classes)
    present = np.bincount(labels, case.prior, minlength=case.scores.num_classes) > 0
    compared = present & (rows >= MIN_CLASS_ROWS)
    if not compared.any():
        return None
    risks = np.where(compared, errors / np.maximum(rows, 1), -1.0)
    worst = int(risks.argmax())
    chosen = accepted & (labels == worst)
    groups = None if case.scores.groups is None else case.scores.groups[chosen]
    level = 1 - 0.05 / int(compared.sum())
    return {
        "class": worst,
        "value": float(risks[worst]),
        "interval": interval_or_none(share_interval(~case.correct[chosen], groups, level)),
        "accepted": int(rows[worst]),
        "compared": int(compared.sum()),
        "left_out": int((present & ~compared).sum()),
    }


def _decision(case: Case) -> dict[str, float] | None:
    """Of the decision whether a row is of the class: `accepted` says yes."""
    if not isinstance(case.objective, ClassDecision):
        return None
    decided, of_class = case.inside.accepted, case.scores.labels == case.objective.number
    parts = {"false_positive_rate": ~of_class, "false_negative_rate": of_class}
    wrong = decided != of_class
    rates = {
        name: float(np.average(wrong[rows], weights=case.prior[rows]))
        for name, rows in parts.items()
        if case.prior[rows].sum() > 0
    }
    return {"positive": float(np.average(decided, weights=case.prior)), **rates}


def _objective(case: Case) -> dict[str, Any] | None:
    if case.policy.objective is None:
        return None
    objective = case.objective
    value = math.nan
    if not case.lacks_ood:
        value = objective.value(case.all_rank, case.all_outcome, case.all_weight)
    return {
        "name": objective.name,
        "target": None if math.isnan(objective.target) else objective.target,
        "value": None if math.isnan(value) else value,
        "interval": None if case.lacks_ood else _resampled_value(case),
        "text": str(objective),
        "deployed": _deployed(case),
    }


def _deployed(case: Case) -> dict[str, Any] | None:
    """Whether the deployed threshold keeps the target; None where there is none, or no rows to tell."""
    figure = deployed_figure(case.objective)
    is_mixture = case.objective.uses_ood and case.objective.name != "fpr@tpr"
    if figure is None or (is_mixture and case.lacks_ood):
        return None
    told = mixture(case) if is_mixture else _accepted_shares(case)
    value, interval = told[figure], told["intervals"][figure]
    low, high = interval or (math.nan, math.nan)
    known = math.nan if interval is None else value
    return {
        "figure": figure,
        "value": value,
        "interval": interval,
        "verdict": verdict(case.objective, known, low, high).value,
    }


def _resampled_value(case: Case) -> list[float] | None:
    """Rows in and out of distribution are drawn apart, so that their shares stay what they are."""
    order = np.argsort(-case.all_rank, kind="stable")
    rank, outcome, weight = case.all_rank[order], case.all_outcome[order], case.all_weight[order]
    strata = [case.groups, *([np.arange(case.num_ood)] if case.num_ood else [])]
    return interval_or_none(
        bootstrap_interval(lambda counts: case.objective.value(rank, outcome, weight * counts[order]), strata)
    )
