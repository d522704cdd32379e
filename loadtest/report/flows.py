"""The flow of every contender in which rows leave at more than one stage, the judged one's first. Pure."""

from dataclasses import dataclass

from loadtest.case import Case
from loadtest.figures.flow import Flow, flow
from loadtest.figures.results import Results
from loadtest.measure.campaign import case_id
from loadtest.report.flow_svg import flow_svg

MOST_FLOWS = 4


@dataclass(frozen=True, kw_only=True)
class FlowPicture:
    """`file` is its name in the report's folder."""

    file: str
    contender: str
    svg: str


def draw_flows(results: Results) -> list[FlowPicture]:
    judged = results.judged.contender
    names = sorted(results.campaign.contenders, key=lambda name: name != judged)
    flows = [(case, flow_of(results, case)) for case in map(results.campaign.of, names) if case.cascade]
    chosen = [(case, each) for case, each in flows if each.num_exits > 1][:MOST_FLOWS]
    return [
        FlowPicture(
            file="flow.svg" if number == 0 else f"flow-{number + 1}.svg",
            contender=case.contender,
            svg=flow_svg(each, stage_names(case), f"How rows run through {case.contender}"),
        )
        for number, (case, each) in enumerate(chosen)
    ]


def flow_of(results: Results, case: Case) -> Flow:
    """As the census has it."""
    campaign = results.campaign
    assert campaign.samples.labels is not None
    rows = campaign.censuses[case_id(case)].rows
    return flow(rows, campaign.samples.labels, case.served.num_stages)


def stage_names(case: Case) -> tuple[str, ...]:
    """The members that run at each stage."""
    assert case.cascade is not None
    return tuple(" + ".join(stage) for stage in case.cascade.stages)
