"""Windows laid again where scores have shifted, from unlabelled rows, so that the budget holds again.

What the ends of the ranks cut off of a window that does not slide is lost, as when it was fitted.

The windows keep their shares and their anchors (Xia & Bouganis 2023, section 4.3: tau stays, its rank and the
quantiles around it are recomputed). Final thresholds and calibrators need labels and stay as they are, so
what was certified no longer is.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cascade.errors import FitError
from cascade.fitting.budget import parse_budget, stage_costs
from cascade.fitting.placement import BUDGETED, MIN_ROWS, lay, mean_cost, strict_threshold
from cascade.fitting.table import Cut
from cascade.metrics import cost_macs, score_quantiles
from cascade.policy import Policy
from cascade.replay import replay
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.stages import Stages

STILL_TRUE = ("rows", "choosing_rows", "seed", "ood_families", "chosen", "gain_over_paper")
"""What the evidence keeps: how the policy was fitted, not what its old windows did."""


def refit(policy: Policy, stages: Stages, scores: ScoresFile) -> Policy:
    """`policy` with its windows laid over the rows of `scores`, whose labels are not looked at.

    FitError where the policy has no windows that a fit placed, or the rows are too few.
    """
    _check_placed(policy)
    _check_rows(scores.num_rows)
    for stage in range(policy.num_stages - 1):
        played = replay(policy, stages, scores, max_stages=stage + 1, keep_probabilities=False)
        policy = _laid(policy, stage, played.stage_scores[stage, played.reached(stage)])
    played = replay(policy, stages, scores, keep_probabilities=False)
    forwarded = [float((played.exit_stage > stage).mean()) for stage in range(1, policy.num_stages)]
    return _refitted(policy, played.stage_scores[0], forwarded, cost_on(policy, stages, scores))


def relaid(policy: Policy, stage_scores: Sequence[Array], costs: Sequence[float]) -> Policy:
    """As `refit`, from the scores `(rows,)` of the rows that reached each stage but the last.

    For whoever keeps no outputs. Which rows reach a later stage follows from the windows before it: the
    scores there are those of the rows that the old windows sent on. A stage that no row reached keeps its
    window. `costs` has the cost per row of each stage.
    """
    _check_placed(policy)
    deciding = policy.num_stages - 1
    if len(stage_scores) < deciding or len(costs) != policy.num_stages:
        raise FitError(
            f"{policy.num_stages} stages need {deciding} arrays of scores and {policy.num_stages} costs, "
            f"got {len(stage_scores)} and {len(costs)}"
        )
    _check_rows(len(stage_scores[0]))
    shares = []
    for stage, given in enumerate(stage_scores[:deciding]):
        score = np.asarray(given, np.float64)
        policy = _laid(policy, stage, score)
        shares.append(forwarded_share(policy, stage, score))
    forwarded = np.cumprod(shares).tolist()
    return _refitted(policy, stage_scores[0], forwarded, mean_cost(costs, shares) / costs[0])


def forwarded_share(policy: Policy, stage: int, score: Array) -> float:
    """The share of these scores `(rows,)` that a stage sends on; what was meant to, where there are none."""
    if len(score) == 0:
        return policy.placements[stage].share
    is_window = policy.kind == "window"
    goes_on = policy.windows[stage].contains(score) if is_window else score < policy.thresholds[stage]
    chance = goes_on.astype(np.float64)
    for tie in policy.ties[stage]:
        chance[score == tie.score] = tie.share
    return float(chance.mean())


def cost_on(policy: Policy, stages: Stages, scores: ScoresFile) -> float:
    """What the policy costs on these rows, as a multiple of stage 1, in what its budget counts."""
    costs = costs_for(policy, stages, scores)
    played = replay(policy, stages, scores, keep_probabilities=False)
    return cost_macs(played.exit_stage, costs) / costs[0]


def costs_for(policy: Policy, stages: Stages, scores: ScoresFile) -> tuple[float, ...]:
    """Of each stage per row, in what the budget counts; MACs where there is no budget. FitError where the
    budget is in seconds, and none were measured."""
    if policy.budget is None:
        return stage_costs(scores.macs, scores, stages)
    return parse_budget(policy.budget).stage_costs(scores, stages)


def _check_placed(policy: Policy) -> None:
    if policy.kind not in BUDGETED or not policy.placements:
        raise FitError(
            f"a policy of kind {policy.kind!r} without placements cannot be refitted; those of kind "
            f"{' and '.join(BUDGETED)} over two stages or more can, where a fit laid them"
        )


def _check_rows(num_rows: int) -> None:
    if num_rows < MIN_ROWS:
        raise FitError(f"{num_rows} rows are too few to lay windows on; at least {MIN_ROWS} are needed")


def _laid(policy: Policy, stage: int, score: Array) -> Policy:
    if not np.isfinite(score).all():
        raise FitError(f"{np.sum(~np.isfinite(score))} scores at stage {stage + 1} are not finite")
    if len(score) == 0:
        return policy
    return _with_cut(policy, stage, lay(score, np.ones(len(score)), policy.placements[stage]))


def _with_cut(policy: Policy, stage: int, cut: Cut) -> Policy:
    ties = list(policy.ties or [()] * (policy.num_stages - 1))
    ties[stage] = cut.ties
    if policy.kind == "threshold":
        thresholds = list(policy.thresholds)
        thresholds[stage] = strict_threshold(cut.window)
        return replace(policy, thresholds=tuple(thresholds), ties=tuple(ties))
    windows = list(policy.windows)
    windows[stage] = cut.window
    return replace(policy, windows=tuple(windows), ties=tuple(ties))


def _refitted(policy: Policy, first_scores: Array, forwarded: Sequence[float], cost: float) -> Policy:
    """With what a server may expect of rows like these; what the old rows were like is no longer of use."""
    evidence = {key: policy.evidence[key] for key in STILL_TRUE if key in policy.evidence}
    expected = {"forwarded": list(forwarded), "score_quantiles": score_quantiles(first_scores)}
    refitted = {"rows": len(first_scores), "cost": cost}
    return replace(policy, evidence=evidence | expected | {"certified": False, "refitted": refitted})
