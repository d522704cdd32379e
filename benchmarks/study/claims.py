"""The claims of the two papers, and what becomes of each here. Verdicts follow from the figures by rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from benchmarks.study.contenders import FULL, SINGLE, WINDOW
from benchmarks.study.findings import COVERAGE, PUBLISHED_SHARE, against_larger, kept_of
from benchmarks.study.selections import ALIKE
from benchmarks.study.sizes import LABELS, NONE
from benchmarks.study.windows import ALL, OBJECTIVES
from benchmarks.study.words import Record, in_points, times, verdict

HOLDS, IN_PART, FAILS, OPEN = "holds", "holds in part", "does not hold", "can't be told"
NEAR = "auroc cifar100"
HARD = "hard-batch"
CLOSE = 0.1
"""How far CPU time may lie above what multiply-adds promise for the promise to be kept."""


@dataclass(frozen=True)
class Claim:
    text: str
    verdict: str
    evidence: str


def claims(parts: Mapping[str, Any]) -> list[Claim]:
    return [
        *(_at_equal_cost(parts["scaling"], unit) for unit in ("macs", "cpu_ms")),
        _next_larger(parts["scaling"]),
        _most_of_the_gain(parts["scaling"]),
        _strangers(parts["scaling"]),
        *(_windows(parts["windows"], against) for against in ("threshold", "paper")),
        *_hard_batch(parts["selections"]),
        _time_saved(parts["served"]),
    ]


def judged_by(verdicts: Sequence[str]) -> str:
    """Of verdicts `better`, `worse` and `same`, one for each case."""
    better, worse = verdicts.count("better"), verdicts.count("worse")
    if better == len(verdicts):
        return HOLDS
    if better:
        return IN_PART
    return FAILS if worse else OPEN


def _told(records: Sequence[Record], figure: str, names: Sequence[str]) -> str:
    return "; ".join(
        f"{name} {in_points(figure, record['figures'][figure])}"
        for name, record in zip(names, records, strict=True)
    )


def _at_equal_cost(part: Record, unit: str) -> Claim:
    here = [
        each for each in part["at_equal_cost"] if each["unit"] == unit and each["contender"] == WINDOW.name
    ]
    words = "multiply-adds" if unit == "macs" else "CPU time of the server"
    return Claim(
        f"A cascade of two small members accepts more at 5% risk than single models of the same {words}",
        judged_by([verdict(COVERAGE, each["figures"][COVERAGE]) for each in here]),
        _told(here, COVERAGE, [each["model"] for each in here]),
    )


def _next_larger(part: Record) -> Claim:
    here = [each for each in against_larger(part) if each["contender"] == WINDOW.name]
    verdicts = [verdict(COVERAGE, each["figures"][COVERAGE]) for each in here]
    worse = verdicts.count("worse")
    return Claim(
        "Such a cascade is as good as the next larger single model, for less",
        HOLDS if not worse else FAILS if worse == len(here) else IN_PART,
        _told(
            here,
            COVERAGE,
            [f"{each['model']} at {times(each['macs_ratio'])} the MACs" for each in here],
        ),
    )


def _most_of_the_gain(part: Record) -> Claim:
    kept = kept_of(part, COVERAGE)
    low, high = PUBLISHED_SHARE
    share = mean(kept.values())
    return Claim(
        f"A fifth more multiply-adds buy {low:.0%} to {high:.0%} of the full ensemble's gain in coverage",
        HOLDS if share >= low else IN_PART if share >= low / 2 else FAILS,
        ", ".join(f"{model} {of:.0%}" for model, of in kept.items()),
    )


def _strangers(part: Record) -> Claim:
    here = [
        each
        for each in part["differences"]
        if (each["contender"], each["against"]) == (WINDOW.name, SINGLE.name)
        and each["model"] == each["against_model"]
    ]
    whole = [
        each
        for each in part["differences"]
        if (each["contender"], each["against"]) == (FULL.name, SINGLE.name)
        and each["model"] == each["against_model"]
    ]
    return Claim(
        "Windows bring the ensemble's gain in telling out-of-distribution rows (near, AUROC), too",
        judged_by([verdict(NEAR, each["figures"][NEAR]) for each in here]),
        _told(here, NEAR, [each["model"] for each in here])
        + ". The full ensemble: "
        + _told(whole, NEAR, [each["model"] for each in whole]),
    )


def _windows(part: Record, against: str) -> Claim:
    cells = [
        cell
        for cell in part["cells"]
        if cell["model"] == ALL and cell["objective"] == OBJECTIVES[0] and cell["budget"] < 2
    ]
    texts = {
        "threshold": "At equal cost a window accepts more at 5% risk than a single threshold",
        "paper": "There is room above the paper's rule, and our fit finds it",
    }
    return Claim(
        texts[against],
        judged_by([verdict(COVERAGE, cell["gains"][against]) for cell in cells]),
        "; ".join(
            f"{in_points(COVERAGE, cell['gains'][against])} at {times(cell['budget'])}" for cell in cells
        ),
    )


def _hard_batch(part: Record) -> list[Claim]:
    arms = {(arm["labels"], arm["selection"], arm["ensemble"]): arm for arm in part["arms"]}
    pairs = [(labels, arms[labels, HARD, ALIKE], arms[labels, NONE, ALIKE]) for labels in LABELS]
    sooner = [_sooner(hard["updates_to_target"], plain["updates_to_target"]) for _, hard, plain in pairs]
    return [
        Claim(
            "Hard-batch selection reaches a fixed accuracy in fewer updates",
            judged_by(sooner),
            "; ".join(
                f"{labels} labels: {_updates(hard)} against {_updates(plain)} by plain training"
                for labels, hard, plain in pairs
            ),
        ),
        *(
            Claim(
                text,
                judged_by([verdict(figure, hard["against_plain"][figure]) for _, hard, _ in pairs]),
                "; ".join(
                    f"{labels} labels: {in_points(figure, hard['against_plain'][figure])}"
                    for labels, hard, _ in pairs
                ),
            )
            for text, figure in (
                ("Hard-batch selection makes better members (accuracy)", "member accuracy"),
                ("It makes better ensembles (accuracy)", "accuracy"),
                ("It makes better ensembles (coverage at 5% risk)", COVERAGE),
            )
        ),
    ]


def _sooner(hard: float | None, plain: float | None) -> str:
    """Medians; None was not reached."""
    if hard == plain:
        return "same"
    return "better" if hard is not None and (plain is None or hard < plain) else "worse"


def _updates(arm: Record) -> str:
    hit, members = arm["reached"]
    median_of = "not reached" if arm["updates_to_target"] is None else f"{arm['updates_to_target']:,.0f}"
    return f"{median_of} ({hit} of {members} members)"


def _time_saved(part: Record) -> Claim:
    here = [case for case in part["cases"] if case["policy"] == "window"]
    extra = [case["cpu_ratio"] / case["cost"] - 1 for case in here]
    return Claim(
        "Multiply-adds saved are time saved: a window costs the CPU time that its multiply-adds promise",
        HOLDS if max(extra) <= CLOSE else IN_PART if median(extra) <= 2 * CLOSE else FAILS,
        "; ".join(
            f"{case['cascade']} {times(case['cpu_ratio'])} CPU for {times(case['cost'])} MACs"
            for case in here
        ),
    )
