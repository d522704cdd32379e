"""The claims of the two papers, and what becomes of each here, by a rule that is told beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.study.contenders import WINDOW
from benchmarks.study.figures import ACCURACY, AURC, AUROC_NEAR, COVERAGE_AT_RISK, WINDOW_COVERAGE
from benchmarks.study.findings import across, arm_name, equal_cost, updates
from benchmarks.study.selections import ALIKE
from benchmarks.study.sizes import AWARE, CLEAN, HARD, LABELS, NONE
from benchmarks.study.windows import ALL, OBJECTIVES
from benchmarks.study.words import (
    BETTER,
    MACS,
    SAME,
    UNITS,
    WORSE,
    Record,
    in_points,
    part_of,
    percent,
    times,
    verdict,
)

HOLDS, IN_PART, MIXED, FAILS, OPEN = (
    "holds",
    "holds in part",
    "differs from case to case",
    "does not hold",
    "can't be told",
)
PUBLISHED_KEPT = 0.81
"""Of the full ensemble's gain in coverage, at 1.2 times the cost of one member: the least of the six models
that the window paper's figure shows."""
MARGIN = 0.01
"""A point of coverage: what counts as as good."""
CLOSE = 0.1
"""How far CPU time may lie above what multiply-adds promise for the promise to be kept."""
BUDGET = 1.2

INTERVALS = "every case lies on its side by more than its 95% interval; in part where only some do"


@dataclass(frozen=True)
class Claim:
    """rule: when it holds."""

    text: str
    rule: str
    verdict: str
    evidence: str


def claims(parts: Mapping[str, Record]) -> list[Claim]:
    """Of the parts that are there."""
    return [claim for name, part in parts.items() for claim in CLAIMS[name](part)]


def judged_by(verdicts: Sequence[str]) -> str:
    """Of verdicts `better`, `worse` and `same`, one for each case."""
    better, worse = verdicts.count(BETTER), verdicts.count(WORSE)
    if better and worse:
        return MIXED
    if better:
        return HOLDS if better == len(verdicts) else IN_PART
    return FAILS if worse else OPEN


def _at_equal_cost(part: Record, unit: str) -> Claim:
    here = [each for each in equal_cost(part, unit, WINDOW.name) if each["figures"][COVERAGE_AT_RISK]]
    words = UNITS[unit] if unit == MACS else f"(computed) {UNITS[unit]}"
    told = "; ".join(
        f"{each['model']} {in_points(COVERAGE_AT_RISK, each['figures'][COVERAGE_AT_RISK])}" for each in here
    )
    return Claim(
        f"A cascade of two small members accepts more at 5% risk than single models of the same {words}",
        INTERVALS,
        judged_by([verdict(COVERAGE_AT_RISK, each["figures"][COVERAGE_AT_RISK]) for each in here]),
        told or "no single model costs as much",
    )


def _next_larger(part: Record) -> Claim:
    here = across(part, WINDOW.name)
    bounds = [each["figures"][COVERAGE_AT_RISK] for each in here]
    good, bad = (
        sum(bound["low"] >= -MARGIN for bound in bounds),
        sum(bound["high"] < -MARGIN for bound in bounds),
    )
    found = HOLDS if good == len(bounds) else IN_PART if good else FAILS if bad else OPEN
    return Claim(
        "Such a cascade is as good as the next larger single model that is better than all cheaper ones",
        f"every interval lies above −{MARGIN * 100:g} point; does not where some lie below it and none above",
        MIXED if good and bad else found,
        "; ".join(
            f"{each['model']} against {each['against_model']}, at {times(each['macs_ratio'])} its "
            f"multiply-adds, {in_points(COVERAGE_AT_RISK, each['figures'][COVERAGE_AT_RISK])}"
            for each in here
        ),
    )


def _kept(part: Record, figure: str) -> Claim:
    kept = part["kept"][figure]
    name = "coverage at 5% risk" if figure == COVERAGE_AT_RISK else "AUROC against near OOD rows"
    told = "the full ensemble gains nothing that shows"
    found = OPEN
    if kept is not None:
        models = ", ".join(f"{model} {percent(share)}" for model, share in kept["models"].items())
        told = f"{part_of(kept)}, models together; {models}"
        found = HOLDS if kept["low"] >= PUBLISHED_KEPT else FAILS if kept["high"] < PUBLISHED_KEPT else OPEN
    return Claim(
        f"A window at 1.2 times the cost keeps {PUBLISHED_KEPT:.0%} and more of what a second member "
        f"gains in {name}",
        f"the interval of the share lies above {PUBLISHED_KEPT:.0%}; does not where it lies below",
        found,
        told,
    )


WINDOW_CLAIMS = {
    "paper over threshold": "At equal cost the paper's window accepts more than a single threshold",
    "ours over threshold": "So does ours",
    "ours over paper": "There is room above the paper's rule, and our fit finds it",
}


def _windows(part: Record, gain: str) -> Claim:
    cells = [
        cell
        for cell in part["cells"]
        if (cell["model"], cell["objective"]) == (ALL, OBJECTIVES[0]) and cell["budget"] < 2
    ]
    here = [cell for cell in cells if cell["budget"] == BUDGET]
    return Claim(
        WINDOW_CLAIMS[gain],
        f"the gain at {times(BUDGET)}, models together, is above 0 by more than its 95% interval; the "
        "other budgets are of the same rows",
        judged_by([verdict("gain", cell["gains"][gain]) for cell in here]),
        "; ".join(f"{in_points('gain', cell['gains'][gain])} at {times(cell['budget'])}" for cell in cells),
    )


def _arms(part: Record, labels: str) -> dict[str, Record]:
    return {
        arm["selection"]: arm for arm in part["arms"] if (arm["labels"], arm["ensemble"]) == (labels, ALIKE)
    }


def _sooner(part: Record) -> Claim:
    verdicts, told = [], []
    for labels in LABELS:
        arms = _arms(part, labels)
        verdicts.append(_of_updates(arms[HARD], arms[NONE]))
        told.append(f"{labels} labels: {updates(arms[HARD])} against {updates(arms[NONE])} by plain training")
    return Claim(
        "Hard-batch selection reaches a fixed accuracy in fewer updates (here with a rate that falls to "
        "zero, which the paper's does not)",
        "the median member needs fewer by more than an epoch, with both label sets; in part with one",
        judged_by(verdicts),
        "; ".join(told),
    )


def _of_updates(hard: Record, plain: Record) -> str:
    """Medians; None was not reached."""
    first, second = hard["updates_to_target"], plain["updates_to_target"]
    if first is None or second is None:
        return SAME if first == second else BETTER if second is None else WORSE
    if abs(first - second) <= plain["updates_per_epoch"]:
        return SAME
    return BETTER if first < second else WORSE


HARD_CLAIMS = {
    "member accuracy": "Hard-batch selection makes better members (accuracy)",
    ACCURACY: "It makes better ensembles of two (accuracy)",
    AURC: "It makes better ensembles of two (AURC)",
}


def beats_controls(arm: Record, figure: str) -> str:
    """`better` where it is better than plain training and than a random choice as large, else what it is
    against plain training, `same` at best."""
    plain, random = (verdict(figure, arm[against][figure]) for against in ("against_plain", "against_random"))
    return plain if plain != BETTER or random == BETTER else SAME


def _hard_batch(part: Record, figure: str) -> Claim:
    hard = {labels: _arms(part, labels)[HARD] for labels in LABELS}
    return Claim(
        HARD_CLAIMS[figure],
        "better than plain training and than a random choice as large by more than the 95% intervals, "
        "with both label sets; in part with one",
        judged_by([beats_controls(arm, figure) for arm in hard.values()]),
        "; ".join(
            f"{labels} labels: {in_points(figure, arm['against_plain'][figure])} against plain, "
            f"{in_points(figure, arm['against_random'][figure], unit=False)} against random"
            for labels, arm in hard.items()
        ),
    )


def _as_published(part: Record) -> list[Claim]:
    """None where that setting was left out."""
    if not part["published"]:
        return []
    arms = {arm["selection"]: arm for arm in part["published"]}
    hard, plain = arms[HARD], arms[NONE]
    figure = "member accuracy"
    return [
        Claim(
            "In its paper's own setting (ResNet-18, constant rate, no augmentation) hard-batch selection "
            "reaches a fixed accuracy in fewer updates",
            "the median member needs fewer by more than an epoch",
            judged_by([_of_updates(hard, plain)]),
            f"{updates(hard)} against {updates(plain)} by plain training",
        ),
        Claim(
            "There it makes better members by as many updates (accuracy)",
            "better than plain training and than a random choice as large by more than the 95% intervals",
            judged_by([beats_controls(hard, figure)]),
            f"{in_points(figure, hard['against_plain'][figure])} against plain, "
            f"{in_points(figure, hard['against_random'][figure], unit=False)} against random",
        ),
    ]


def _aware(part: Record, figure: str) -> Claim:
    arm = next(
        arm for arm in part["fresh"] or part["arms"] if (arm["selection"], arm["labels"]) == (AWARE, CLEAN)
    )
    plain, random = arm["against_plain"][figure], arm["against_random"][figure]
    found = [verdict(figure, record) for record in (plain, random)]
    return Claim(
        AWARE_CLAIMS[figure],
        "on seeds other than those that suggested it, with clean labels, better than plain training and than "
        "a random choice as large by more than the 95% intervals; in part where better than plain alone",
        FAILS if found[0] == WORSE else judged_by(found) if found[0] == BETTER else OPEN,
        f"{in_points(figure, plain)} against plain, {in_points(figure, random, unit=False)} against random",
    )


AWARE_CLAIMS = {
    COVERAGE_AT_RISK: "Ours: a second member trained on the rows nearest to the first one's threshold "
    "(cascade-aware) makes a better ensemble of two (coverage at 5% risk)",
    WINDOW_COVERAGE: "It makes a better cascade of two, too (the same, of a window at 1.2 times the cost)",
}


def winners(arms: Sequence[Record]) -> list[str]:
    """Ensembles that with clean labels beat both controls in coverage or accuracy, and are worse than plain
    training in neither. Eight comparisons and more are made, so one may win by chance."""
    found = []
    for arm in arms:
        if arm["selection"] == NONE or arm["labels"] != CLEAN:
            continue
        verdicts = [beats_controls(arm, figure) for figure in (COVERAGE_AT_RISK, ACCURACY)]
        if BETTER in verdicts and WORSE not in verdicts:
            found.append(arm_name(arm))
    return found


def _time_saved(part: Record) -> Claim:
    """Of cascades of one model alone: what a multiply-add costs differs between models, and between
    precisions."""
    here = [
        case for case in part["cases"] if case["policy"] == "window" and len(set(case["stage_models"])) == 1
    ]
    extra = [case["cpu_ratio"] / case["cost"] - 1 for case in here]
    return Claim(
        "Multiply-adds saved are time saved: a window costs the CPU time that its multiply-adds promise",
        f"no cascade takes more than {CLOSE:.0%} more; in part where half of them do not",
        HOLDS if max(extra) <= CLOSE else IN_PART if median(extra) <= CLOSE else FAILS,
        "; ".join(
            f"{case['cascade']} {times(case['cpu_ratio'])} the CPU time for {times(case['cost'])} the "
            "multiply-adds"
            for case in here
        ),
    )


def _of_scaling(part: Record) -> list[Claim]:
    return [
        *(_at_equal_cost(part, unit) for unit in part["fronts"]),
        _next_larger(part),
        *(_kept(part, figure) for figure in (COVERAGE_AT_RISK, AUROC_NEAR)),
    ]


CLAIMS: Mapping[str, Callable[[Record], list[Claim]]] = {
    "scaling": _of_scaling,
    "selections": lambda part: [
        _sooner(part),
        *(_hard_batch(part, figure) for figure in HARD_CLAIMS),
        *_as_published(part),
        *(_aware(part, figure) for figure in AWARE_CLAIMS),
    ],
    "windows": lambda part: [_windows(part, gain) for gain in WINDOW_CLAIMS],
    "served": lambda part: [_time_saved(part)],
}
