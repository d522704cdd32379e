"""What the figures say, in sentences that are made from them: a rerun that finds otherwise says otherwise."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, median
from typing import Any

from benchmarks.study.contenders import FULL, SINGLE, UPWARDS, WINDOW, WINDOW_OF_THREE
from benchmarks.study.selections import ALIKE, BEHIND_PLAIN
from benchmarks.study.sizes import NONE
from benchmarks.study.windows import ALL, OBJECTIVES
from benchmarks.study.words import Record, in_points, times, value, verdict

COVERAGE = "coverage@5%risk"
PUBLISHED_SHARE = (0.73, 0.97)
"""Of the full ensemble's gain in coverage that the paper's windows keep at 1.2 times the cost of one
member."""


def scaling_findings(part: Record) -> Iterator[str]:
    for unit, words in (("macs", "multiply-adds"), ("cpu_ms", "CPU time of the server")):
        here = [each for each in part["at_equal_cost"] if each["unit"] == unit]
        for contender in (FULL.name, WINDOW.name, UPWARDS.name):
            found = [each for each in here if each["contender"] == contender]
            if found:
                yield f"{_subject(contender)}, against single models of the same {words}: {_tally_of(found)}."
    for contender in (FULL.name, WINDOW.name, WINDOW_OF_THREE.name):
        found = [each for each in against_larger(part) if each["contender"] == contender]
        costs = ", ".join(f"{times(each['macs_ratio'])}/{times(each['cpu_ratio'])}" for each in found)
        yield (
            f"{_subject(contender)}, against the next larger single (at {costs} its MACs/CPU): "
            f"{_tally_of(found)}."
        )
    yield from _kept(part)


def against_larger(part: Record) -> list[Record]:
    return [each for each in part["differences"] if each["against_model"] != each["model"]]


def _subject(contender: str) -> str:
    return {
        FULL.name: "Two members, both always run",
        WINDOW.name: "Two members, windows at 1.2 times the cost of one",
        WINDOW_OF_THREE.name: "Three members, windows at 1.3 times",
        UPWARDS.name: "A member and one of the next larger model, windows at half of both",
    }[contender]


def _tally_of(found: Sequence[Record]) -> str:
    steps = ", ".join(
        f"{each['model']} {in_points(COVERAGE, each['figures'][COVERAGE], unit=False)}" for each in found
    )
    return f"coverage at 5% risk {_counts(found, COVERAGE)}: {steps}"


def _counts(found: Sequence[Record], figure: str) -> str:
    verdicts = [verdict(figure, each["figures"][figure]) for each in found]
    return f"better in {verdicts.count('better')} of {len(found)}, worse in {verdicts.count('worse')}"


def _kept(part: Record) -> Iterator[str]:
    for figure in (COVERAGE, "accuracy"):
        kept = kept_of(part, figure)
        beside = (
            f" (the paper's, on ImageNet: {PUBLISHED_SHARE[0]:.0%} to {PUBLISHED_SHARE[1]:.0%})"
            if figure == COVERAGE
            else ", which a window fitted for coverage does not aim at"
        )
        listed = ", ".join(f"{model} {share:.0%}" for model, share in kept.items())
        yield (
            f"Of the full ensemble's gain in {figure} a window of two keeps {mean(kept.values()):.0%} in "
            f"the mean{beside}: {listed}."
        )


def kept_of(part: Record, figure: str) -> dict[str, float]:
    """By model, the share of what two members gain on one that their window keeps."""
    found = {(each["model"], each["contender"]): each["figures"][figure]["value"] for each in part["judged"]}
    kept = {}
    for model in dict.fromkeys(model for model, _ in found):
        single, full, window = (found[model, of.name] for of in (SINGLE, FULL, WINDOW))
        kept[model] = (window - single) / (full - single) if full != single else 0.0
    return kept


def selection_findings(part: Record) -> Iterator[str]:
    arms = [arm for arm in part["arms"] if arm["selection"] != NONE]
    for labels in dict.fromkeys(arm["labels"] for arm in arms):
        here = [arm for arm in arms if arm["labels"] == labels]
        yield (
            f"With {labels} labels, "
            + "; ".join(
                f"in {figure} {_tally(here, figure)}" for figure in ("accuracy", "NLL", COVERAGE, "aurc")
            )
            + "."
        )
    yield _winner(arms)


def _tally(arms: Sequence[Record], figure: str) -> str:
    """Which ensembles differ from two plain members by more than chance."""
    by_verdict: dict[str, list[str]] = {"better": [], "worse": []}
    for arm in arms:
        found = verdict(figure, arm["against_plain"][figure])
        if found in by_verdict:
            difference = in_points(figure, arm["against_plain"][figure])
            by_verdict[found].append(f"{arm_name(arm)} ({difference})")
    told = [f"{', '.join(names)} {found}" for found, names in by_verdict.items() if names]
    return " and ".join(told) if told else "no ensemble differs from plain training by more than chance"


def arm_name(arm: Record) -> str:
    return arm["selection"] if arm["ensemble"] == ALIKE else f"{arm['selection']} {BEHIND_PLAIN}"


def winners(part: Record) -> list[str]:
    """Selections whose ensembles beat plain training in coverage or accuracy with clean labels, and are
    worse in neither."""
    found = []
    for arm in part["arms"]:
        if arm["selection"] == NONE or arm["labels"] != "clean":
            continue
        verdicts = [verdict(figure, arm["against_plain"][figure]) for figure in (COVERAGE, "accuracy")]
        if "better" in verdicts and "worse" not in verdicts:
            found.append(arm_name(arm))
    return found


def _winner(arms: Sequence[Record]) -> str:
    won = winners({"arms": arms})
    if won:
        return f"Ahead of plain training by more than chance with clean labels: {', '.join(won)}."
    return (
        "No selection beats plain training by more than chance with clean labels, so `none` is the "
        "default of `python -m training`."
    )


def window_findings(part: Record) -> Iterator[str]:
    for objective in OBJECTIVES:
        cells = [cell for cell in part["cells"] if cell["model"] == ALL and cell["objective"] == objective]
        for against in ("threshold", "paper"):
            steps = ", ".join(
                f"{in_points('coverage', cell['gains'][against])} at {times(cell['budget'])}"
                for cell in cells
                if cell["budget"] in (1.1, 1.2, 1.5)
            )
            name = "a single threshold" if against == "threshold" else "the paper's rule"
            yield f"{objective}: our fit gains on {name} {steps}, in the mean of all models."
        shares = [
            f"{cell['share_of_gap']['ours']:.0%} ({cell['share_of_gap']['paper']:.0%} by the paper's rule, "
            f"{cell['share_of_gap']['threshold']:.0%} by a threshold) at {times(cell['budget'])}"
            for cell in cells
            if cell["budget"] in (1.1, 1.2, 1.5)
        ]
        yield (
            f"{objective}: of the way from the first member alone to an oracle's gate it goes "
            f"{', '.join(shares)}."
        )
    yield from _certificates(part)


def _certificates(part: Record) -> Iterator[str]:
    cells = [cell for cell in part["cells"] if cell["model"] == ALL and cell["certified"]]
    for name in ("first", "paper", "ours"):
        found = [cell["certified"][name] for cell in cells]
        exceeded, pairs = (sum(each[key] for each in found) for key in ("exceeded", "pairs"))
        coverage = [each["coverage"] for each in found]
        yield (
            f"Certified at delta 0.1, `{name}` accepts {min(coverage):.1%} to {max(coverage):.1%} over "
            f"the budgets; its risk on the test rows is above 5% in {exceeded} of {pairs} fits (which "
            "share their calibration rows)."
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
            f"`{policy}` takes {extra:+.0%} (median) of the CPU time that its multiply-adds promise, "
            f"saturated, as multiples of the first stage alone: {ratios}."
        )
    yield from _int8(part)


def _int8(part: Record) -> Iterator[str]:
    quantised = {case["policy"]: case for case in part["cases"] if case["cascade"].endswith("-int8")}
    for policy in ("first", "window"):
        case = quantised[policy]
        plain = next(
            each
            for each in part["cases"]
            if each["policy"] == policy and f"{each['cascade']}-int8" == case["cascade"]
        )
        yield (
            f"An int8 copy of {plain['cascade']} as the first stage, `{policy}`: "
            f"{times(case['cpu_ms'] / plain['cpu_ms'])} the CPU time of fp32, coverage "
            f"{value('coverage', case['coverage'])[0]} against {value('coverage', plain['coverage'])[0]}."
        )


def findings(parts: Mapping[str, Any]) -> dict[str, list[str]]:
    makers = {
        "scaling": scaling_findings,
        "selections": selection_findings,
        "windows": window_findings,
        "served": served_findings,
    }
    return {name: list(make(parts[name])) for name, make in makers.items()}
