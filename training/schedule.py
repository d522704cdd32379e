"""The learning rate, a pure function of the update."""

import math

SCHEDULES = ("cosine", "constant")


def learning_rate(
    update: int, *, schedule: str, base: float, num_updates: int, warmup_updates: int = 0
) -> float:
    """The rate of update 0, 1, ... of `num_updates`.

    Warm-up rises linearly and reaches `base` at update `warmup_updates`. After it, `constant` stays there and
    `cosine` falls so that it would be zero at `num_updates`: the decay takes up the whole budget.
    """
    if update < warmup_updates:
        return base * (update + 1) / (warmup_updates + 1)
    if schedule == "constant":
        return base
    progress = (update - warmup_updates) / (num_updates - warmup_updates)
    return base * 0.5 * (1 + math.cos(math.pi * progress))
