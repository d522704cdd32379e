"""Windows laid again over the scores that a server has seen lately, without labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cascade.cascade_file import Cascade
from cascade.errors import CascadeError
from cascade.fitting.budget import parse_budget
from cascade.fitting.placement import MIN_ROWS
from cascade.fitting.refit import forwarded_share, relaid
from cascade.policy import Policy
from cascade.scores import Array
from serving.bounds import forwarded_scores
from serving.errors import InvalidRequest
from serving.served import ServedCascade

FEW_ROWS = 500
"""Of the first stage: below, quantiles say little of the rows to come."""


@dataclass(frozen=True)
class Refit:
    """Of a policy, by its name: what it was, what it is on the last scores of each stage but the last, and
    what each stage costs per row, in what the policy's budget counts."""

    cascade: Cascade
    name: str
    stage_scores: tuple[Array, ...]
    costs: tuple[float, ...]
    new: Policy

    @property
    def old(self) -> Policy:
        return self.cascade.policies[self.name]

    def apply(self, now: Cascade) -> Cascade:
        """The next version of the cascade. InvalidRequest where it is no longer the one that was looked at,
        or its gears would be out of order."""
        if now != self.cascade:
            raise InvalidRequest(f"{now.name!r} was changed meanwhile; ask again")
        try:
            return now.with_policy(self.name, self.new)
        except CascadeError as error:
            raise InvalidRequest(str(error)) from None

    def told(self) -> dict[str, Any]:
        """JSON: of each stage but the last the scores that go on and the share of all rows that do, and the
        cost in multiples of stage 1."""
        return {
            "policy": self.name,
            "rows": [len(scores) for scores in self.stage_scores],
            "before": self._figures(self.old),
            "after": self._figures(self.new),
        }

    def _figures(self, policy: Policy) -> Mapping[str, Any]:
        forwarded, share, cost = [], 1.0, self.costs[0]
        for stage, scores in enumerate(self.stage_scores):
            share *= forwarded_share(policy, stage, _enough(scores))
            cost += share * self.costs[stage + 1]
            forwarded.append(share)
        return {"forwards": forwarded_scores(policy), "forwarded": forwarded, "cost": cost / self.costs[0]}


def refit_on_recent(served: ServedCascade, policy: str | None) -> Refit:
    """InvalidRequest where the policy has no windows that a fit laid, or too few rows were seen; NotFound
    where it is unknown. A later stage that hardly any row has reached keeps its window."""
    name, old = served.policy(policy)
    recent = tuple(scores.copy() for scores in served.recent.get(name, ()))
    if recent and len(recent[0]) < FEW_ROWS:
        raise InvalidRequest(
            f"policy {name!r}: {len(recent[0])} rows were seen since this version was loaded, and {FEW_ROWS} "
            "are needed to lay its windows again"
        )
    try:
        costs = _costs(served, old)
        new = relaid(old, [_enough(scores) for scores in recent], costs)
    except CascadeError as error:
        raise InvalidRequest(f"policy {name!r}: {error}") from None
    return Refit(served.cascade, name, recent, costs, new)


def _enough(scores: Array) -> Array:
    """None of them where they are too few to lay a window on."""
    return scores if len(scores) >= MIN_ROWS else scores[:0]


def _costs(served: ServedCascade, policy: Policy) -> tuple[float, ...]:
    """Seconds are those that this server's members take at full batches now."""
    if policy.budget is not None and parse_budget(policy.budget).is_seconds:
        return tuple(served.stage_s())
    return served.cascade.stage_macs
