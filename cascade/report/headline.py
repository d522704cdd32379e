"""The report's first words: the policy it is about, beside its rivals."""

from dataclasses import dataclass

from cascade.report.figures import Figures
from cascade.report.policies import PAPER
from cascade.report.resampling import interval
from cascade.report.results import Results
from cascade.report.wording import is_share, multiple, percent, points, value_name, value_text
from cascade.verdict import TargetCheck


@dataclass(frozen=True, kw_only=True)
class Card:
    """A figure, and the same figure of the policy it is compared with."""

    name: str
    value: str
    beside: str = ""


def lead(results: Results) -> str:
    main, objective = results.main, results.objective
    text = (
        f"Asked for {value_name(objective)}, the policy ‘{main.name}’ comes to {_value(main, results)} at "
        f"{multiple(main.estimates['cost'].value)} the cost of stage 1, and "
        f"{percent(main.judged.exits()[0])} of the rows leave at stage 1."
    )
    rivals = [results.of_kind("first"), results.of_kind("full")]
    told = [
        f"‘{rival.name}’ comes to {_value(rival, results)} at {multiple(rival.estimates['cost'].value)}"
        for rival in rivals
        if rival is not None and rival is not main
    ]
    text = f"{text} {', '.join(told)}." if told else text
    return f"{text} {_promised(main)}" if main.verdict is not TargetCheck.NONE else text


def _promised(main: Figures) -> str:
    """What was promised of the deployed threshold, which is not the curve that the value is read off."""
    if not main.judged.named.is_certified:
        return "Its target is an estimate, not certified."
    deployed = " and ".join(
        f"{name} {percent(main.estimates[name].value)}"
        for name in ("coverage", "risk")
        if name in main.estimates
    )
    delta = main.judged.policy.evidence.get("delta")
    chance = f" (delta {delta:g})" if isinstance(delta, int | float) else ""
    return f"It is certified{chance}: deployed, it has {deployed} on these rows."


def caveats(results: Results) -> list[str]:
    """What is to be known of policies that were not fitted here."""
    question = results.question
    notes = [
        f"‘{named.name}’ was fitted for {named.policy.objective or 'no objective'}, and is judged by another."
        for named in question.given
        if named.policy.objective != question.asked.objective
    ]
    if not question.is_fresh:
        notes.append(
            "The policies were read from files: if they were fitted on rows of this scores file, they are "
            "judged here on rows that they have seen. --test takes rows that they have not."
        )
    if results.parts.seen:
        names = ", ".join(results.parts.seen)
        notes.append(
            f"The OOD figures are of families that policies from files were fitted on ({names}), for want of "
            "others: they say little of other OOD rows."
        )
    return notes


def _value(figures: Figures, results: Results) -> str:
    return value_text(results.objective, figures.estimates["value"].value)


def against_paper(results: Results) -> str | None:
    """What the policy gains over the paper's rule on these rows; None where there is nothing to compare."""
    main = results.main
    paper = next((figures for figures in results.figures if figures.name == PAPER), None)
    if paper is None or main is paper:
        return None
    if main.judged.policy.windows == paper.judged.policy.windows and (
        main.judged.policy.temperatures == paper.judged.policy.temperatures
    ):
        return (
            f"‘{main.name}’ and ‘{PAPER}’ are one rule here: nothing richer gained enough over the paper's "
            "rule on rows held out while fitting, so it was kept."
        )
    sign = -1.0 if results.objective.is_lower_better else 1.0
    gain = sign * (main.estimates["value"].value - paper.estimates["value"].value)
    low, high = interval(sign * (main.values - paper.values))
    ours, theirs = (multiple(figures.estimates["cost"].value) for figures in (main, paper))
    costs = f"at {ours} the cost of stage 1, the paper's rule at {theirs}"
    if not is_share(results.objective):
        return f"Gain over the paper's rule on these rows: {gain:.4f} ({low:.4f} to {high:.4f}), {costs}."
    return (
        f"Gain over the paper's rule on these rows: {points(gain)} percentage points "
        f"({points(low)} to {points(high)}, resampled in pairs), {costs}."
    )


def cards(results: Results) -> list[Card]:
    main, full = results.main, results.of_kind("full")
    made = []
    for key, name in (
        ("value", value_name(results.objective)),
        ("cost", "cost, × stage 1"),
        ("coverage", "coverage, deployed"),
        ("risk", "risk, deployed"),
        ("accuracy", "accuracy"),
    ):
        if key not in main.estimates or (key == "coverage" and "risk" not in main.estimates):
            continue
        beside = "" if full is None or full is main else f"{full.name}: {_card_text(key, full, results)}"
        made.append(Card(name=name, value=_card_text(key, main, results), beside=beside))
    return made


def _card_text(key: str, figures: Figures, results: Results) -> str:
    value = figures.estimates[key].value
    if key == "value":
        return value_text(results.objective, value)
    return multiple(value) if key == "cost" else percent(value)
