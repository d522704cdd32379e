"""What rows cost, in the unit that a budget is given in."""

from collections.abc import Sequence

from cascade.fitting.budget import Budget


def in_unit_of(budget: Budget, cost: float, stage_costs: Sequence[float]) -> float:
    """A cost per row, counted as the budget counts: both costs are in MACs or in seconds, as the budget has
    it, and those of the stages are of all members."""
    return cost / budget.one(stage_costs)


def spent_text(budget: Budget, cost: float, stage_costs: Sequence[float]) -> str:
    """`1.300x stage 1, 2.6ms`: MACs are what a multiple counts, unless the budget is in seconds."""
    counted = " in seconds" if budget.is_seconds else ""
    text = f"{cost / stage_costs[0]:.3f}x stage 1{counted}"
    if budget.unit == "x":
        return text
    return f"{text}, {in_unit_of(budget, cost, stage_costs):.4g}{budget.unit}"
