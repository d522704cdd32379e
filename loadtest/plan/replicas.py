"""How many replicas each member needs, in a deployment where each has its own.

1. At least as many as its rows take in full batches, `max_utilisation` of the time.
2. While the simulation does not hold the objective, one more for the member at which rows wait most.
3. One fewer wherever the objective holds without, so that in the end no single replica can go.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from loadtest.errors import ConfigError
from loadtest.plan.arrivals import Arrivals, poisson_arrivals
from loadtest.plan.errors import Unattainable
from loadtest.plan.pipeline import Pipeline
from loadtest.plan.simulated import Simulated
from loadtest.plan.simulation import simulate

AS_MANY_AS_WANTED = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Objective:
    """`percent` of requests take `limit_s` at most. `max_utilisation` is of a member's capacity, which is
    that of full batches: replicas that take what is there look busy at a fraction of it."""

    limit_s: float
    percent: float = 99.0
    max_utilisation: float = 0.8

    def __post_init__(self) -> None:
        if not (math.isfinite(self.limit_s) and self.limit_s > 0):
            raise ConfigError(f"objective: limit_s {self.limit_s:g} is not above 0")
        if not 0 < self.percent < 100:
            raise ConfigError(f"objective: percent {self.percent:g} is not within 0 and 100")
        if not 0 < self.max_utilisation <= 1:
            raise ConfigError(f"objective: max_utilisation {self.max_utilisation:g} is not within 0 and 1")

    def holds(self, simulated: Simulated) -> bool:
        return simulated.percentile_s(self.percent) <= self.limit_s


@dataclass(frozen=True, kw_only=True)
class Demand:
    """`rate` is in requests per second, Poisson; `num_requests` of them are simulated."""

    rate: float
    rows_per_request: int = 1
    num_requests: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ConfigError(f"demand: rate {self.rate:g} is not above 0")
        for name in ("rows_per_request", "num_requests"):
            if getattr(self, name) < 1:
                raise ConfigError(f"demand: {name} {getattr(self, name)} is below 1")

    @property
    def rows_per_s(self) -> float:
        return self.rate * self.rows_per_request

    def arrivals(self) -> Arrivals:
        generator = np.random.default_rng(self.seed)
        return poisson_arrivals(self.rate, self.num_requests, generator, self.rows_per_request)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`at_least` is what the load alone asks for, whatever the wait; `load` is what it makes of each
    member's capacity with these replicas."""

    replicas: Mapping[str, int]
    at_least: Mapping[str, int]
    load: Mapping[str, float]
    simulated: Simulated

    @property
    def num_replicas(self) -> int:
        return sum(self.replicas.values())


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A plan, and one where all rows go through all members; None, and `why_not_full`, where the objective
    cannot hold there."""

    cascade: Plan
    full: Plan | None
    why_not_full: str = ""


def plan_with_full(
    pipeline: Pipeline, demand: Demand, objective: Objective, *, max_replicas: int = 64
) -> Comparison:
    """Unattainable where the cascade itself has no plan."""
    cascade = plan_replicas(pipeline, demand, objective, max_replicas=max_replicas)
    try:
        full = plan_replicas(pipeline.in_full(), demand, objective, max_replicas=max_replicas)
    except Unattainable as error:
        return Comparison(cascade=cascade, full=None, why_not_full=str(error))
    return Comparison(cascade=cascade, full=full)


def plan_replicas(
    pipeline: Pipeline, demand: Demand, objective: Objective, *, max_replicas: int = 64
) -> Plan:
    """Each member gets its own pool, whatever the pipeline's are, of up to `max_replicas`. Unattainable
    where these are not enough, or no number is."""
    if max_replicas < 1:
        raise ConfigError(f"max_replicas {max_replicas} is below 1")
    at_least = replicas_for_load(pipeline, demand, objective.max_utilisation)
    for name, number in at_least.items():
        if number > max_replicas:
            raise Unattainable(
                f"member {name!r} needs {number} replicas for its load alone, over the {max_replicas} allowed"
            )
    search = _Search(pipeline, demand.arrivals(), demand.seed, objective)
    search.check_without_waits()
    replicas = search.lowered(search.raised(at_least, max_replicas), at_least)
    return Plan(
        replicas=replicas,
        at_least=at_least,
        load=_loads(pipeline, demand, replicas),
        simulated=search.simulated(replicas),
    )


def replicas_for_load(pipeline: Pipeline, demand: Demand, max_utilisation: float) -> dict[str, int]:
    one_each = dict.fromkeys(pipeline.members, 1)
    loads = _loads(pipeline, demand, one_each)
    return {name: max(1, math.ceil(load / max_utilisation - 1e-9)) for name, load in loads.items()}


def _loads(pipeline: Pipeline, demand: Demand, replicas: Mapping[str, int]) -> dict[str, float]:
    """Of each member the rows that reach it, as a share of its capacity."""
    return {
        name: demand.rows_per_s * pipeline.reaching[name] / (member.capacity * replicas[name])
        for name, member in pipeline.members.items()
    }


class _Search:
    """Simulations of one demand; none is run twice."""

    def __init__(self, pipeline: Pipeline, arrivals: Arrivals, seed: int, objective: Objective) -> None:
        self._pipeline = pipeline
        self._arrivals = arrivals
        self._seed = seed
        self._objective = objective
        self._seen: dict[tuple[int, ...], Simulated] = {}

    def simulated(self, replicas: Mapping[str, int]) -> Simulated:
        key = tuple(replicas[name] for name in self._pipeline.members)
        if key not in self._seen:
            pipeline = self._pipeline.with_replicas(replicas)
            self._seen[key] = simulate(pipeline, self._arrivals, self._seed)
        return self._seen[key]

    def check_without_waits(self) -> None:
        simulated = self.simulated(dict.fromkeys(self._pipeline.members, AS_MANY_AS_WANTED))
        if not self._objective.holds(simulated):
            raise Unattainable(
                f"{self._missed(simulated)} where no row waits for a replica: "
                "no number of replicas holds the objective"
            )

    def raised(self, replicas: Mapping[str, int], max_replicas: int) -> dict[str, int]:
        raised = dict(replicas)
        while not self._objective.holds(simulated := self.simulated(raised)):
            waits = {name: simulated.loads[name].wait_s for name in raised if raised[name] < max_replicas}
            if not any(waits.values()):
                raise Unattainable(
                    f"{self._missed(simulated)} with {_told(raised)} replicas, the most allowed"
                )
            raised[max(waits, key=lambda name: waits[name])] += 1
        return raised

    def lowered(self, replicas: Mapping[str, int], at_least: Mapping[str, int]) -> dict[str, int]:
        lowered = dict(replicas)
        while (fewer := next(self._enough(lowered, at_least), None)) is not None:
            lowered = fewer
        return lowered

    def _enough(self, replicas: dict[str, int], at_least: Mapping[str, int]) -> Iterator[dict[str, int]]:
        """With one replica fewer, of each member that may have one fewer."""
        for name in reversed(replicas):
            fewer = replicas | {name: replicas[name] - 1}
            if fewer[name] >= at_least[name] and self._objective.holds(self.simulated(fewer)):
                yield fewer

    def _missed(self, simulated: Simulated) -> str:
        percent, limit_s = self._objective.percent, self._objective.limit_s
        took_s = simulated.percentile_s(percent)
        return f"p{percent:g} is {took_s * 1e3:.4g} ms, above the {limit_s * 1e3:g} ms allowed,"


def _told(replicas: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={number}" for name, number in replicas.items())
