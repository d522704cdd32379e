"""What the figures of each part say, in sentences made from them: a rerun that finds otherwise says
otherwise."""

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.study.contenders import FULL, UPWARDS, WINDOW, WINDOW_OF_THREE
from benchmarks.study.figures import ACCURACY, AURC, AUROC_NEAR, COVERAGE_AT_RISK, FIGURES, WINDOW_COVERAGE
from benchmarks.study.selections import ALIKE, BEHIND_PLAIN
from benchmarks.study.sizes import CONTROL, NONE
from benchmarks.study.windows import ALL, OBJECTIVES
from benchmarks.study.words import (
    BETTER,
    SHORT,
    UNITS,
    WORSE,
    Record,
    in_points,
    part_of,
    times,
    value,
    verdict,
)

SUBJECTS = {
    FULL.name: "Two members, both always run",
    WINDOW.name: "Two members, windows at 1.2 times the cost of one",
    WINDOW_OF_THREE.name: "Three members, windows at 1.3 times",
    UPWARDS.name: "A member and one of the next larger model, windows at half of both",
}
TOLD_BUDGETS = (1.1, 1.2, 1.5)
CALLED = {"threshold": "a single threshold", "paper": "the paper's rule"}


def scaling_findings(part: Record) -> Iterator[str]:
    fronts = "; ".join(f"in {UNITS[unit]}, {', '.join(front)}" for unit, front in part["fronts"].items())
    yield (
        f"By calibration accuracy the models worth what they cost are, {fronts}. Single models of a cost are "
        "read off the line through these."
    )
    for unit in part["fronts"]:
        for contender in (FULL.name, WINDOW.name, UPWARDS.name):
            found = [each for each in equal_cost(part, unit, contender) if each["figures"][COVERAGE_AT_RISK]]
            if found:
                beside = f"against single models of the same {UNITS[unit]}"
                yield f"{SUBJECTS[contender]}, {beside}: {_tally(found)}."
    for contender in (FULL.name, WINDOW.name, WINDOW_OF_THREE.name):
        found = across(part, contender)
        costs = ", ".join("/".join(times(each[f"{unit}_ratio"]) for unit in part["fronts"]) for each in found)
        called = "/".join(SHORT[unit] for unit in part["fronts"])
        yield (
            f"{SUBJECTS[contender]}, against the next larger single (at {costs} its {called}): "
            f"{_tally(found)}."
        )
    for figure, kept in part["kept"].items():
        beside = ", which a window fitted for coverage does not aim at" if figure == ACCURACY else ""
        yield (
            f"Of what a second member gains in {FIGURES[figure].title}, all models together, a window keeps "
            f"{part_of(kept)}{beside}."
        )


def equal_cost(part: Record, unit: str, contender: str) -> list[Record]:
    """Of a contender, its differences to single models of the same cost, None beside what none costs."""
    return [each for each in part["at_equal_cost"] if (each["unit"], each["contender"]) == (unit, contender)]


def across(part: Record, contender: str) -> list[Record]:
    """Of a contender, its differences to singles of the next larger model."""
    return [
        each
        for each in part["differences"]
        if each["contender"] == contender and each["against_model"] != each["model"]
    ]


def _tally(found: Sequence[Record]) -> str:
    verdicts = [verdict(COVERAGE_AT_RISK, each["figures"][COVERAGE_AT_RISK]) for each in found]
    steps = ", ".join(
        f"{each['model']} {in_points(COVERAGE_AT_RISK, each['figures'][COVERAGE_AT_RISK], unit=False)}"
        for each in found
    )
    return (
        f"coverage at 5% risk better in {verdicts.count(BETTER)} of {len(found)}, worse in "
        f"{verdicts.count(WORSE)}: {steps}"
    )


def selection_findings(part: Record) -> Iterator[str]:
    arms = [arm for arm in part["arms"] if arm["selection"] != NONE]
    for labels in dict.fromkeys(arm["labels"] for arm in arms):
        here = [arm for arm in arms if arm["labels"] == labels]
        for figure in (ACCURACY, "NLL", COVERAGE_AT_RISK, AURC, AUROC_NEAR):
            yield f"With {labels} labels, {FIGURES[figure].title}: {_differing(here, figure)}."
        yield (
            f"With {labels} labels, disagreement of a pair's members against two plain ones: "
            + ", ".join(
                f"{arm_name(arm)} "
                f"{in_points('disagreement', arm['against_plain']['disagreement'], unit=False)}"
                for arm in here
            )
            + "."
        )
    overlaps = [
        f"{arm['selection']} {arm['spent']['overlap']:.0%} ({arm['labels']})"
        for arm in part["arms"]
        if arm["ensemble"] == ALIKE and arm["selection"] != NONE
    ]
    yield from _fresh_findings(part["fresh"])
    yield f"Of a round's choice this was in the one before (Jaccard): {', '.join(overlaps)}."


def _fresh_findings(arms: Sequence[Record]) -> Iterator[str]:
    for arm in arms:
        if arm["selection"] == NONE:
            continue
        seeds = len(arm["figures"][ACCURACY]["seeds"])
        against = {"plain training": "against_plain"}
        if arm["selection"] != CONTROL:
            against["a random choice"] = "against_random"
        for name, key in against.items():
            told = ", ".join(
                f"{FIGURES[figure].title} {in_points(figure, arm[key][figure])}"
                for figure in (COVERAGE_AT_RISK, WINDOW_COVERAGE, AURC, ACCURACY)
            )
            yield f"On {seeds} fresh seeds, clean labels, {arm_name(arm)} against {name}: {told}."


def _differing(arms: Sequence[Record], figure: str) -> str:
    """Which ensembles differ from two plain members by more than chance."""
    told = []
    for found in (BETTER, WORSE):
        names = [
            f"{arm_name(arm)} {in_points(figure, arm['against_plain'][figure])}"
            for arm in arms
            if verdict(figure, arm["against_plain"][figure]) == found
        ]
        if names:
            told.append(f"{found}: {', '.join(names)}")
    return "; ".join(told) if told else "no ensemble differs from two plain members by more than its interval"


def arm_name(arm: Record) -> str:
    return arm["selection"] if arm["ensemble"] == ALIKE else f"{arm['selection']} {BEHIND_PLAIN}"


def updates(arm: Record) -> str:
    """`1,248 (6 of 6)`: the median member's, and how many members came to the target."""
    hit, members = arm["reached"]
    middle = "–" if arm["updates_to_target"] is None else f"{arm['updates_to_target']:,.0f}"
    return f"{middle} ({hit} of {members})"


def window_findings(part: Record) -> Iterator[str]:
    for objective in OBJECTIVES:
        cells = [
            cell
            for cell in part["cells"]
            if (cell["model"], cell["objective"]) == (ALL, objective) and cell["budget"] in TOLD_BUDGETS
        ]
        name = FIGURES[objective].title
        for against, called in CALLED.items():
            steps = ", ".join(
                f"{in_points('gain', cell['gains'][f'ours over {against}'])} at {times(cell['budget'])}"
                for cell in cells
            )
            yield f"In {name} our fit gains on {called}, models together: {steps}."
        shares = ", ".join(
            f"{_gap(cell, 'ours')} ({_gap(cell, 'paper')} by the paper's rule, {_gap(cell, 'threshold')} "
            f"by a threshold) at {times(cell['budget'])}"
            for cell in cells
        )
        yield f"In {name}, of the way from the first member alone to an oracle's gate our fit goes {shares}."
    yield from _certificates(part)


def _gap(cell: Record, name: str) -> str:
    share = cell["share_of_gap"][name]
    return "–" if share is None else f"{share:.0%}"


def _certificates(part: Record) -> Iterator[str]:
    """What a certificate costs, at the budgets that are told; the test rows' own noise is in what is
    exceeded."""
    for cell in part["cells"]:
        if cell["model"] == ALL and cell["certified"] and cell["budget"] in TOLD_BUDGETS:
            told = ", ".join(
                f"`{name}` {cell['deployed'][name]['coverage']:.1%} and {found['coverage']:.1%} (above 5% "
                f"on the test rows in {cell['deployed'][name]['exceeded']} and {found['exceeded']} of "
                f"{found['pairs']} pairs)"
                for name, found in cell["certified"].items()
            )
            yield (
                "Accepted at the deployed threshold, estimated and certified at delta 0.1, at "
                f"{times(cell['budget'])}: {told}."
            )


def served_findings(part: Record) -> Iterator[str]:
    if not part["is_valid"]:
        yield f"The load test doubts its latencies: {part['obstacle']}. Rows/s and CPU time stand."
    for policy in ("threshold", "window", "full"):
        here = [case for case in part["cases"] if case["policy"] == policy]
        extra = median(case["cpu_ratio"] / case["cost"] for case in here) - 1
        ratios = ", ".join(
            f"{case['cascade']} {times(case['cpu_ratio'])} for {times(case['cost'])}" for case in here
        )
        yield (
            f"`{policy}`, saturated, takes {extra:+.0%} (median) against the CPU time that its "
            "multiply-adds promise; CPU for multiply-adds, as multiples of the first stage alone: "
            f"{ratios}."
        )
    yield from _int8(part)


def _int8(part: Record) -> Iterator[str]:
    cases = {(case["cascade"], case["policy"]): case for case in part["cases"]}
    for (cascade, policy), case in cases.items():
        plain = cases.get((cascade.removesuffix("-int8"), policy))
        if plain is not None and plain is not case and policy in ("first", "window"):
            coverage, beside = (value("coverage", each["coverage"])[0] for each in (case, plain))
            yield (
                f"An int8 copy of {plain['cascade']} as the first stage, `{policy}`: "
                f"{times(case['cpu_ms'] / plain['cpu_ms'])} the CPU time of fp32, coverage {coverage} "
                f"against {beside}."
            )
