"""What came of the rows that were sent under load: quality as a client met it. Pure.

A row without an answer is neither right nor accepted, so that shed and failed requests count against
accuracy and coverage; risk is of the answers that were accepted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.intervals import Estimate
from cascade.metrics import cost_macs
from loadtest.case import Case
from loadtest.figures.quality import exit_shares, risk, share
from loadtest.generator.load_samples import LoadSamples
from loadtest.traffic.samples import Samples
from loadtest.wire.client import Status


@dataclass(frozen=True, kw_only=True)
class UnderLoad:
    """Shares of rows; `answered_accuracy`, `exit_shares` and `agreement` of those with an answer. `good` are
    rows that were right, in time (where an objective is given) and not degraded. `cost` is a multiple of
    stage 1, of the answered. `kept` are the good rows as a share of those, among the same rows, that the
    contender answers right without load: what the load takes away, whatever the accuracy."""

    accuracy: Estimate
    answered_accuracy: Estimate
    coverage: Estimate
    risk: Estimate
    agreement: Estimate | None
    exit_shares: tuple[Estimate, ...]
    cost: float | None
    degraded: float
    shed: float
    failed: float
    good: float
    kept: float
    in_time: float


def under_load(
    case: Case,
    samples: LoadSamples,
    pool: Samples,
    objective_ms: float | None,
    calm: NDArray[np.int64],
    reference: NDArray[np.int64] | None = None,
) -> UnderLoad:
    """`pool` are the rows that the load was drawn of, `calm` (pool rows,) their labels without load, and
    `reference` as in `quality.judge`. Rows of one sample are as one group in the intervals."""
    assert pool.labels is not None
    rows, requests = samples.rows, samples.requests
    right_in_calm = (calm == pool.labels)[rows.sample]
    groups = rows.sample if pool.groups is None else pool.groups[rows.sample]
    answered = rows.exit_stage > 0
    right = answered & (rows.label == pool.labels[rows.sample])
    in_time = answered & _in_time(samples, objective_ms)[rows.request]
    degraded = answered & requests.degraded[rows.request]
    status = requests.status[rows.request]
    good = right & in_time & ~degraded
    return UnderLoad(
        accuracy=share(right, groups),
        answered_accuracy=share(right[answered], groups[answered]),
        coverage=share(rows.accepted, groups),
        risk=risk(rows.accepted, right, groups),
        agreement=_agreement(rows.label[answered], reference, rows.sample[answered], groups[answered]),
        exit_shares=exit_shares(rows.exit_stage[answered], case.served.num_stages, groups[answered]),
        cost=_cost(case, rows.exit_stage[answered]),
        degraded=_mean(degraded),
        shed=_mean(status == Status.SHED),
        failed=_mean(~answered & (status != Status.SHED)),
        good=_mean(good),
        kept=float((good & right_in_calm).sum() / max(1, right_in_calm.sum())),
        in_time=_mean(in_time & ~degraded),
    )


def _in_time(samples: LoadSamples, objective_ms: float | None) -> NDArray[np.bool_]:
    latency_ms = samples.requests.latency_ms
    return np.asarray(np.isfinite(latency_ms) if objective_ms is None else latency_ms <= objective_ms)


def _agreement(
    labels: NDArray[np.int64],
    reference: NDArray[np.int64] | None,
    sample: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> Estimate | None:
    return None if reference is None else share(labels == reference[sample], groups)


def _cost(case: Case, exit_stage: NDArray[np.int32]) -> float | None:
    if case.cascade is None or len(exit_stage) == 0:
        return None
    return cost_macs(exit_stage, case.cascade.stage_macs) / case.cascade.stage_macs[0]


def _mean(mask: NDArray[np.bool_]) -> float:
    return float(mask.mean()) if len(mask) else 0.0
