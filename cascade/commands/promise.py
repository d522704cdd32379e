"""What a policy promises, and what the value of its objective is, in the words of all commands."""

from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.detection import FprAtTpr
from cascade.objectives.objective import Objective
from cascade.objectives.selective import Accuracy
from cascade.policy import Policy


def promise(policy: Policy) -> str:
    """A policy from a file may say nothing of it."""
    if policy.evidence.get("certified") is not True:
        return "an estimate, not certified"
    delta = policy.evidence.get("delta")
    chance = f" with probability {delta:g} at most" if isinstance(delta, int | float) else ""
    return f"certified: the target is missed{chance}"


def value_label(objective: Objective) -> str:
    return "FPR" if isinstance(objective, FprAtTpr) else "value"


def value_source(objective: Objective) -> str:
    """What the value is, or where it comes from: not the deployed threshold."""
    if isinstance(objective, ClassDecision):
        return "decisions as the full cascade's" if objective.costs is None else "mean cost of a decision"
    return "accuracy over all rows" if isinstance(objective, Accuracy) else "read off the rows' own curve"
