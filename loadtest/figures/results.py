"""A campaign's figures: of each case, of each against the baseline, and between protocols. Pure."""

from dataclasses import dataclass

import numpy as np

from loadtest.case import Case
from loadtest.figures.comparison import (
    Difference,
    accuracy_of,
    accuracy_under_load,
    capacity_ratio,
    cost_difference,
    coverage,
    latency_ratio,
    quality_difference,
    risk_of,
)
from loadtest.figures.quality import Quality, judge, num_disagreements
from loadtest.figures.statistics import CPU_LIMIT, LoadFigures, ServerFigures, load_figures, server_figures
from loadtest.figures.under_load import UnderLoad, under_load
from loadtest.measure.campaign import Campaign, Capacity, CaseId, case_id, reference_labels


@dataclass(frozen=True, kw_only=True)
class CapacityFigures:
    """At saturation; `turns` are rows/s of each turn, and `rows_per_s` of all together. The generator's CPU
    share is of one core."""

    rows_per_s: float
    turns: tuple[float, ...]
    num_errors: int
    generator_cpu_share: float
    server: ServerFigures

    @property
    def is_generator_limited(self) -> bool:
        return self.generator_cpu_share > CPU_LIMIT


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """`difference` is None for the baseline itself."""

    case: Case
    quality: Quality
    load: LoadFigures
    under_load: UnderLoad
    capacity: CapacityFigures | None
    difference: Difference | None

    @property
    def contender(self) -> str:
        return self.case.contender

    @property
    def over(self) -> str:
        return self.case.over

    @property
    def name(self) -> str:
        return self.case.name


@dataclass(frozen=True, kw_only=True)
class Results:
    """`disagreements`: rows, per contender, in which the first protocol (or server) and another disagree;
    None where there is but one."""

    campaign: Campaign
    cases: tuple[CaseResult, ...]
    disagreements: dict[str, int] | None

    def of(self, contender: str) -> CaseResult:
        """Its first case; quality is the same over any protocol, or `disagreements` says so."""
        return next(case for case in self.cases if case.contender == contender)

    @property
    def judged(self) -> CaseResult:
        """What the report is about: a cascade's default policy where driven, else the contender whose rows
        leave at the most stages."""
        for case in self.cases:
            cascade = case.case.cascade
            if cascade is not None and case.case.policy == cascade.default_policy:
                return case
        return max(self.cases, key=lambda case: np.count_nonzero(case.quality.exits))

    @property
    def is_valid(self) -> bool:
        """Whether the generator kept up throughout."""
        return all(case.load.generator.is_valid for case in self.cases)


def compute_results(campaign: Campaign) -> Results:
    return Results(
        campaign=campaign,
        cases=tuple(_case_result(campaign, case) for case in campaign.cases),
        disagreements=_disagreements(campaign) if len(campaign.overs) > 1 else None,
    )


def _case_result(campaign: Campaign, case: Case) -> CaseResult:
    load = campaign.loads[case_id(case)]
    capacity = campaign.capacities.get(case_id(case))
    reference = reference_labels(campaign.cases, campaign.censuses, case)
    return CaseResult(
        case=case,
        quality=judge(campaign.censuses[case_id(case)], campaign.samples, campaign.ood, reference),
        load=load_figures(
            load.samples, campaign.offered_s, load.usage, load.server, case.cascade, campaign.block_s
        ),
        under_load=under_load(
            case,
            load.samples,
            campaign.samples,
            campaign.config.objective_ms,
            campaign.censuses[case_id(case)].rows.label,
            reference,
        ),
        capacity=None if capacity is None else _capacity_figures(capacity, case),
        difference=_difference(campaign, case),
    )


def _capacity_figures(capacity: Capacity, case: Case) -> CapacityFigures:
    turns = capacity.turns
    num_rows_in_all = sum(turn.num_rows_in_all for turn in turns)
    return CapacityFigures(
        rows_per_s=sum(turn.num_rows for turn in turns) / sum(turn.seconds for turn in turns),
        turns=tuple(turn.rows_per_s for turn in turns),
        num_errors=sum(turn.num_errors for turn in turns),
        generator_cpu_share=capacity.usage.cpu_share,
        server=server_figures(capacity.server, num_rows_in_all, case.cascade),
    )


def _difference(campaign: Campaign, case: Case) -> Difference | None:
    base = _base_of(campaign, case)
    return None if base is None else _between(campaign, case_id(case), case_id(base))


def _base_of(campaign: Campaign, case: Case) -> Case | None:
    """The baseline over the same protocol, at the same server where it is there. Of several servers of one
    protocol the first is the baseline for the baseline itself."""
    bases = [c for c in campaign.cases if c.contender == campaign.baseline]
    alike = [c for c in bases if c.target.protocol == case.target.protocol] or bases
    if case.contender == campaign.baseline:
        return None if case == alike[0] else alike[0]
    return next((c for c in alike if c.over == case.over), alike[0])


def _between(campaign: Campaign, one: CaseId, other: CaseId) -> Difference:
    census, base = campaign.censuses[one], campaign.censuses[other]
    load, base_load = campaign.loads[one].samples, campaign.loads[other].samples
    samples = campaign.samples
    return Difference(
        accuracy=quality_difference(census, base, samples, accuracy_of(samples)),
        coverage=quality_difference(census, base, samples, coverage),
        risk=quality_difference(census, base, samples, risk_of(samples)),
        cost=cost_difference(census, base),
        accuracy_under_load=accuracy_under_load(load, base_load, samples),
        p50=latency_ratio(load.requests, base_load.requests, 50),
        p99=latency_ratio(load.requests, base_load.requests, 99),
        capacity=capacity_ratio(campaign.capacities[one].turns, campaign.capacities[other].turns)
        if campaign.capacities
        else None,
    )


def _disagreements(campaign: Campaign) -> dict[str, int]:
    counts: dict[str, int] = {}
    for contender in campaign.contenders:
        censuses = [campaign.censuses[case_id(c)] for c in campaign.cases if c.contender == contender]
        counts[contender] = sum(num_disagreements(censuses[0], other) for other in censuses[1:])
    return counts
