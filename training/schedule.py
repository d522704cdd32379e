"""The learning rate, a pure function of how much of the budget is spent."""

import math

SCHEDULES = ("cosine", "constant")
LOWEST = 0.01
"""Warm-up begins at this share of the rate: at zero the first update would be lost."""


def learning_rate(progress: float, *, schedule: str, base: float, warmup: float = 0.0) -> float:
    """The rate at `progress` (0 to 1) of the budget.

    Warm-up rises linearly over the first `warmup` of the budget and reaches `base` there. After it,
    `constant` stays and `cosine` falls to zero at the end: the decay takes up the whole budget, whatever
    that is counted in.
    """
    if progress < warmup:
        return base * (LOWEST + (1 - LOWEST) * progress / warmup)
    if schedule == "constant":
        return base
    return base * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
