"""The scores that a policy forwards, in JSON's terms: what the console draws."""

import math

from cascade.policy import Policy

Bounds = list[float | None] | None
"""`[lo, hi]`, where null is an open end; null alone forwards nothing."""


def forwarded_scores(policy: Policy) -> list[Bounds] | None:
    """Of each stage but the last; None where the policy does not go by scores."""
    match policy.kind:
        case "window":
            return [_bounds(window.lo, window.hi) for window in policy.windows]
        case "threshold":
            return [_bounds(-math.inf, threshold) for threshold in policy.thresholds]
        case "full":
            return [_bounds(-math.inf, math.inf)] * (policy.num_stages - 1)
        case "first":
            return [None] * (policy.num_stages - 1)
        case _:
            return None


def _bounds(lo: float, hi: float) -> Bounds:
    if lo > hi or hi == -math.inf:
        return None
    return [lo if math.isfinite(lo) else None, hi if math.isfinite(hi) else None]
