"""What a census says of a policy: how good its answers are and what they cost. Pure."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import Cascade
from cascade.intervals import Estimate, share_interval
from cascade.metrics import aurc, cost_macs, selective_risk
from loadtest.measure.census import Census
from loadtest.traffic.samples import Samples
from loadtest.wire.model_statistics import ModelStatistics

Mask = NDArray[np.bool_]
# The two sums add the same whole numbers of MACs in another order.
COST_TOLERANCE = 1e-9
NO_STATISTICS = "the server's statistics could not be read"
OTHER_TRAFFIC = "other traffic reached the server"


@dataclass(frozen=True, kw_only=True)
class CostCheck:
    """MACs per row as the answers' exit stages tell, and as the server's counters of rows do; or the
    `obstacle` to reading these."""

    reported_macs: float
    executed_macs: float | None
    obstacle: str = ""

    @property
    def is_match(self) -> bool | None:
        """None where it could not be checked."""
        if self.executed_macs is None:
            return None
        return math.isclose(self.reported_macs, self.executed_macs, rel_tol=COST_TOLERANCE)


@dataclass(frozen=True, kw_only=True)
class Quality:
    """`risk` is of the accepted rows, the other shares of all; `cost` is a multiple of stage 1. `agreement`
    is the share of rows with the label of the contender that runs all members. A plain model has no cost, and
    where none runs all members there is no agreement."""

    accuracy: Estimate
    coverage: Estimate
    risk: Estimate
    exit_shares: tuple[Estimate, ...]
    exit_reasons: dict[str, int]
    cost_macs: float | None
    cost: float | None
    aurc: float
    cost_check: CostCheck | None
    agreement: Estimate | None
    ood_accepted: Estimate | None
    num_degraded: int

    @property
    def exits(self) -> tuple[float, ...]:
        """Shares of the rows that leave at each stage, without their intervals."""
        return tuple(share.value for share in self.exit_shares)


def judge(
    census: Census, samples: Samples, ood: Samples | None = None, reference: NDArray[np.int64] | None = None
) -> Quality:
    """`reference` (rows,) are the labels of the contender that runs all members."""
    assert samples.labels is not None
    rows, cascade = census.rows, census.case.cascade
    correct = rows.label == samples.labels
    reported = cost_macs(rows.exit_stage, cascade.stage_macs) if cascade else None
    return Quality(
        accuracy=share(correct, samples.groups),
        coverage=share(rows.accepted, samples.groups),
        risk=risk(rows.accepted, correct, samples.groups),
        exit_shares=exit_shares(rows.exit_stage, census.case.served.num_stages, samples.groups),
        exit_reasons=dict(Counter(rows.exit_reason.tolist())),
        cost_macs=reported,
        cost=reported / cascade.stage_macs[0] if cascade and reported is not None else None,
        aurc=aurc(rows.score.astype(np.float64), correct) if cascade else math.nan,
        cost_check=check_cost(census, cascade, reported) if cascade and reported is not None else None,
        agreement=None if reference is None else share(rows.label == reference, samples.groups),
        ood_accepted=None if not (census.ood and ood) else share(census.ood.accepted, ood.groups),
        num_degraded=census.num_degraded,
    )


def exit_shares(
    exit_stage: NDArray[np.int32], num_stages: int, groups: NDArray[np.int64] | None
) -> tuple[Estimate, ...]:
    return tuple(share(exit_stage == stage, groups) for stage in range(1, num_stages + 1))


def share(hits: Mask, groups: NDArray[np.int64] | None = None) -> Estimate:
    low, high = share_interval(hits, groups)
    return Estimate(float(hits.mean()) if len(hits) else math.nan, low, high)


def risk(accepted: Mask, correct: Mask, groups: NDArray[np.int64] | None) -> Estimate:
    if not accepted.any():
        return Estimate(math.nan, math.nan, math.nan)
    low, high = share_interval(~correct[accepted], None if groups is None else groups[accepted])
    return Estimate(selective_risk(accepted, correct), low, high)


def check_cost(census: Census, cascade: Cascade, reported_macs: float) -> CostCheck:
    """By the server's own count of the rows that each member ran, if these were the census's alone."""
    executed, num_rows = census.usage.statistics, len(census.rows)
    if executed is None:
        return CostCheck(reported_macs=reported_macs, executed_macs=None, obstacle=NO_STATISTICS)
    nothing = ModelStatistics()
    if executed.get(cascade.name, nothing).rows > num_rows:
        return CostCheck(reported_macs=reported_macs, executed_macs=None, obstacle=OTHER_TRAFFIC)
    total = sum(member.macs * executed.get(member.name, nothing).rows for member in cascade.members)
    return CostCheck(reported_macs=reported_macs, executed_macs=total / num_rows)


def num_disagreements(first: Census, second: Census) -> int:
    """Rows in which two protocols disagree in label, exit stage or verdict."""
    differs = np.zeros(len(first.rows), np.bool_)
    for name in ("label", "exit_stage", "accepted"):
        differs |= getattr(first.rows, name) != getattr(second.rows, name)
    return int(differs.sum())
