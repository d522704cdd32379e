"""The report's first words: the policy to judge, beside running every member on every row. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from loadtest.figures.results import CaseResult, Results
from loadtest.report.wording import NONE, capacity, multiple, percent, tail


@dataclass(frozen=True, kw_only=True)
class Card:
    """A figure, and the same figure of the policy it is compared with."""

    name: str
    value: str
    beside: str = ""


Figure = tuple[str, Callable[[CaseResult], str | None]]

FIGURES: tuple[Figure, ...] = (
    ("accuracy", lambda c: percent(c.quality.accuracy.value)),
    ("coverage", lambda c: percent(c.quality.coverage.value)),
    ("risk of the accepted", lambda c: percent(c.quality.risk.value) if c.quality.risk.is_known else NONE),
    ("cost, × stage 1", lambda c: multiple(c.quality.cost)),
    ("rows/s at saturation", lambda c: None if c.capacity is None else capacity(c)),
    ("p99 latency, ms", tail),
)


def cards(results: Results) -> list[Card]:
    case, other = judged_and_full(results)
    made = []
    for name, figure in FIGURES:
        value = figure(case)
        if value is not None:
            beside = "" if other is None else f"{other.policy}: {figure(other)}"
            made.append(Card(name=name, value=value, beside=beside))
    return made


def lead(results: Results) -> str:
    case, other = judged_and_full(results)
    text = (
        f"Under the policy ‘{case.policy}’, {percent(case.quality.exits[0])} of the rows stop at the first "
        f"stage, and a row costs {multiple(case.quality.cost)} the first stage on average; {_outcome(case)}."
    )
    if other is None:
        return text
    cost = multiple(other.quality.cost)
    return f"{text} Running every member on every row costs {cost}; then {_outcome(other)}."


def _outcome(case: CaseResult) -> str:
    if not case.quality.risk.is_known:
        return "no row is accepted"
    coverage, risk = percent(case.quality.coverage.value), percent(case.quality.risk.value)
    return f"{coverage} of the rows are accepted, {risk} of them wrong"


def judged_and_full(results: Results) -> tuple[CaseResult, CaseResult | None]:
    """The policy the report is about, and a policy of kind `full` where another one was driven."""
    campaign = results.campaign
    judged = results.judged_policy
    fulls = [p for p in campaign.policies if campaign.cascade.policies[p].kind == "full" and p != judged]
    return results.of(judged), results.of(fulls[0]) if fulls else None
