"""The report's first words: the case to judge, beside running every member on every row. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from loadtest.figures.results import CaseResult, Results
from loadtest.report.wording import NONE, capacity, multiple, percent, tail


@dataclass(frozen=True, kw_only=True)
class Card:
    """A figure, and the same figure of the case it is compared with."""

    name: str
    value: str
    beside: str = ""


Figure = tuple[str, Callable[[CaseResult], str | None]]

FIGURES: tuple[Figure, ...] = (
    ("accuracy", lambda c: percent(c.quality.accuracy.value)),
    ("coverage", lambda c: percent(c.quality.coverage.value)),
    ("risk of the accepted", lambda c: percent(c.quality.risk.value) if c.quality.risk.is_known else NONE),
    ("cost, × stage 1", lambda c: None if c.quality.cost is None else multiple(c.quality.cost)),
    ("rows/s at saturation", lambda c: None if c.capacity is None else capacity(c)),
    ("p99 latency, ms", tail),
)


def cards(results: Results) -> list[Card]:
    case, other = judged_and_full(results)
    made = []
    for name, figure in FIGURES:
        value = figure(case)
        if value is not None:
            beside = "" if other is None else f"{other.contender}: {figure(other) or NONE}"
            made.append(Card(name=name, value=value, beside=beside))
    return made


def lead(results: Results) -> str:
    case, other = judged_and_full(results)
    if case.quality.cost is None or case.case.served.num_stages == 1:
        return f"{case.contender} runs whole on every row; {_outcome(case)}."
    text = (
        f"Under ‘{case.contender}’, {percent(case.quality.exits[0])} of the rows stop at the first stage, "
        f"and a row costs {multiple(case.quality.cost)} the first stage on average; {_outcome(case)}."
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
    """The case that the report is about, and one of the same model that runs all members, where another was
    driven."""
    judged = results.judged
    same = [c for c in results.cases if c.case.served.name == judged.case.served.name and c.case.runs_all]
    return judged, next((c for c in same if c.contender != judged.contender), None)


def title(results: Results) -> str:
    models = dict.fromkeys(case.served.name for case in results.campaign.cases)
    has_exits = any(case.case.served.num_stages > 1 for case in results.cases)
    what = "what early exits cost and save" if has_exits else "how it holds under load"
    return f"{', '.join(models)}: {what}"


def subtitle(results: Results) -> str:
    """What each model is."""
    served = {case.served.name: case.served for case in results.campaign.cases}
    is_alone = len(served) == 1
    parts = []
    for name, model in served.items():
        prefix = "" if is_alone else f"{name}: "
        if model.cascade is None:
            parts.append(f"{prefix}plain model")
        else:
            cascade = model.cascade
            parts.append(
                f"{prefix}cascade version {cascade.version}, {_counted(len(cascade.stages), 'stage')}, "
                f"{_counted(len(cascade.members), 'member')}"
            )
    return "; ".join(parts)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
