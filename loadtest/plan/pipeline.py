"""A cascade as a system of queues: members by stage, where rows exit, and who runs them.

What the router itself takes is `overhead_s`: one figure, or many of which each request draws one. It is added
to a latency and takes nobody's time, so the router has no capacity here and nothing queues for it. That is
fair where members take most of a request's time. Where they are as fast as the router, or where router,
members and load generator share the cores of a machine, what one takes slows the others, the more the higher
the rate: curves and overhead then hold near the load at which they were measured, and for a higher one the
prediction is too fast, by any factor close to saturation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loadtest.errors import ConfigError
from loadtest.plan.service_curve import ServiceCurve


@dataclass(frozen=True, kw_only=True)
class Member:
    """`max_batch_rows` go into one batch at most."""

    name: str
    curve: ServiceCurve
    max_batch_rows: int = 32

    def __post_init__(self) -> None:
        if self.max_batch_rows < 1:
            raise ConfigError(f"member {self.name!r}: max_batch_rows {self.max_batch_rows} is below 1")

    @property
    def capacity(self) -> float:
        """Rows per second of one replica in its best batches, which are full: a batch's fixed part is
        shared by the most rows."""
        return self.curve.rows_per_s(self.max_batch_rows)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Replicas that run one batch at a time each, of any of these members."""

    members: tuple[str, ...]
    num_replicas: int

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError("a pool has no members")
        if self.num_replicas < 1:
            raise ConfigError(f"pool of {', '.join(self.members)}: {self.num_replicas} replicas are below 1")


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """`exits` has for each stage the share of all rows that exit there. Every member stands in one stage
    and in one pool."""

    stages: tuple[tuple[Member, ...], ...]
    exits: tuple[float, ...]
    pools: tuple[Pool, ...]
    overhead_s: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        self._check_stages()
        self._check_exits()
        pooled = [name for pool in self.pools for name in pool.members]
        if sorted(pooled) != sorted(self.members):
            raise ConfigError(
                f"pools of {', '.join(pooled)} do not have each of {', '.join(self.members)} once"
            )
        if not self.overhead_s or not all(math.isfinite(s) and s >= 0 for s in self.overhead_s):
            raise ConfigError("overhead_s is not one or more numbers of 0 or more")

    def _check_stages(self) -> None:
        names = [member.name for stage in self.stages for member in stage]
        if not self.stages or not all(self.stages):
            raise ConfigError("a pipeline has no stage, or a stage has no members")
        if len(set(names)) != len(names):
            raise ConfigError(f"stages of {', '.join(names)} have a member twice")

    def _check_exits(self) -> None:
        if len(self.exits) != len(self.stages):
            raise ConfigError(f"{len(self.stages)} stages, but exits of {len(self.exits)}")
        if min(self.exits) < 0 or not math.isclose(sum(self.exits), 1.0, abs_tol=1e-6):
            raise ConfigError(f"exits {', '.join(f'{e:g}' for e in self.exits)} are no shares of 1")

    @property
    def members(self) -> dict[str, Member]:
        return {member.name: member for stage in self.stages for member in stage}

    @property
    def reaching(self) -> dict[str, float]:
        """Of each member the share of all rows that it runs."""
        return {
            member.name: sum(self.exits[number:])
            for number, stage in enumerate(self.stages)
            for member in stage
        }

    def with_replicas(self, replicas: Mapping[str, int]) -> "Pipeline":
        """Each member in a pool of its own."""
        pools = tuple(Pool(members=(name,), num_replicas=replicas[name]) for name in self.members)
        return replace(self, pools=pools)

    def in_full(self) -> "Pipeline":
        """All rows through all members, as the policy `full` has it: stage after stage."""
        return replace(self, exits=(*(0.0 for _ in self.stages[1:]), 1.0))


def cascade_pipeline(
    stages: Sequence[Sequence[str]],
    curves: Mapping[str, ServiceCurve],
    exits: Sequence[float],
    *,
    max_batch_rows: int = 32,
    num_workers: int | None = None,
    overhead_s: Sequence[float] = (0.0,),
) -> Pipeline:
    """Of a cascade's stages, by names of members: all in one pool of `num_workers`, as the embedded server
    runs them, or without it each by itself with one replica."""
    members = tuple(
        tuple(Member(name=name, curve=curves[name], max_batch_rows=max_batch_rows) for name in stage)
        for stage in stages
    )
    names = tuple(name for stage in stages for name in stage)
    if num_workers is None:
        pools = tuple(Pool(members=(name,), num_replicas=1) for name in names)
    else:
        pools = (Pool(members=names, num_replicas=num_workers),)
    return Pipeline(stages=members, exits=tuple(exits), pools=pools, overhead_s=tuple(overhead_s))
