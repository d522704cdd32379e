"""A campaign's figures: of each case, and between protocols. Pure."""

from dataclasses import dataclass

import numpy as np

from loadtest.figures.quality import Quality, judge, num_disagreements
from loadtest.figures.statistics import CPU_LIMIT, LoadFigures, cpu_ms_per_row, load_figures
from loadtest.measure.campaign import Campaign, CapacityRun, Case


@dataclass(frozen=True, kw_only=True)
class CapacityFigures:
    """At saturation. CPU-seconds of the generator are a share of one core."""

    rows_per_s: float
    num_errors: int
    generator_cpu_share: float
    server_cpu_ms_per_row: float | None

    @property
    def is_generator_limited(self) -> bool:
        return self.generator_cpu_share > CPU_LIMIT


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """A policy over a protocol."""

    policy: str
    protocol: str
    quality: Quality
    load: LoadFigures
    capacity: CapacityFigures | None

    @property
    def name(self) -> str:
        return f"{self.policy} over {self.protocol}"


@dataclass(frozen=True, kw_only=True)
class Results:
    """`disagreements`: rows, per policy, in which the first protocol and another disagree; None where
    one protocol alone was driven."""

    campaign: Campaign
    cases: tuple[CaseResult, ...]
    disagreements: dict[str, int] | None

    def of(self, policy: str) -> CaseResult:
        """The policy's first case; quality is the same over any protocol, or `disagreements` says so."""
        return next(case for case in self.cases if case.policy == policy)

    @property
    def judged_policy(self) -> str:
        """The policy the report is about: the default where driven, else the one whose rows leave at the
        most stages."""
        policies, default = self.campaign.policies, self.campaign.cascade.default_policy
        if default in policies:
            return default
        return max(policies, key=lambda policy: np.count_nonzero(self.of(policy).quality.exits))


def compute_results(campaign: Campaign) -> Results:
    return Results(
        campaign=campaign,
        cases=tuple(_case_result(campaign, case) for case in campaign.cases),
        disagreements=_disagreements(campaign) if len(campaign.protocols) > 1 else None,
    )


def _case_result(campaign: Campaign, case: Case) -> CaseResult:
    run = campaign.loads[case]
    capacity = campaign.capacities.get(case)
    return CaseResult(
        policy=case[0],
        protocol=case[1],
        quality=judge(campaign.censuses[case], campaign.cascade, campaign.samples, campaign.ood),
        load=load_figures(run.samples, campaign.config.load, run.usage),
        capacity=None if capacity is None else _capacity_figures(capacity),
    )


def _capacity_figures(run: CapacityRun) -> CapacityFigures:
    return CapacityFigures(
        rows_per_s=run.counts.rows_per_s,
        num_errors=run.counts.num_errors,
        generator_cpu_share=run.usage.generator_cpu_share,
        server_cpu_ms_per_row=cpu_ms_per_row(run.usage, run.counts.num_rows_in_all),
    )


def _disagreements(campaign: Campaign) -> dict[str, int]:
    first, *others = campaign.protocols
    censuses = campaign.censuses
    return {
        policy: sum(num_disagreements(censuses[policy, first], censuses[policy, other]) for other in others)
        for policy in campaign.policies
    }
