"""Members of very unequal strength and price: ours against the best simple policy that its budget allows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.policies.population import Population
from benchmarks.policies.tally import mean_interval
from cascade.fitting.fit import FitSettings, fit
from cascade.objectives.parse import parse_objective
from cascade.scores_file import ScoresFile

CLASSES = 10
ROWS = 40_000
DRAWN = 4000
BUDGETS = (1.2, 2.0, 5.0)
OBJECTIVES = ("coverage@risk=0.05", "risk@coverage=0.8", "accuracy")


@dataclass(frozen=True)
class Case:
    """Members whose logits are `signal * difficulty` at the true class plus noise of size 1, part of which
    (`shared`) they have in common; `sharpness` scales the logits, so sureness is not strength."""

    name: str
    signals: tuple[float, ...]
    macs: tuple[float, ...]
    sharpness: tuple[float, ...]
    shared: float = 0.5


CASES = (
    Case("a strong member, then a weak one", (4.0, 2.0), (1.0, 1.0), (1.0, 1.0)),
    Case("a strong member, then a weak and overconfident one", (4.0, 2.0), (1.0, 1.0), (1.0, 4.0)),
    Case("a weak cheap member, then a strong one ten times its price", (1.5, 5.0), (1.0, 10.0), (1.0, 1.0)),
    Case("equal members, the second overconfident", (3.0, 3.0), (1.0, 1.0), (1.0, 5.0)),
    Case("a middle member that is worthless", (3.0, 0.0, 4.0), (1.0, 1.0, 3.0), (1.0, 1.0, 1.0)),
    Case("three members, ever stronger and dearer", (2.0, 3.0, 4.5), (1.0, 3.0, 10.0), (1.0, 1.0, 1.0)),
)


def population(case: Case) -> Population:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, CLASSES, ROWS)
    difficulty = rng.gamma(1.5, 1 / 1.5, (ROWS, 1))
    common = rng.normal(0, 1, (ROWS, CLASSES))
    outputs = []
    for signal, sharpness in zip(case.signals, case.sharpness, strict=True):
        own = rng.normal(0, 1, (ROWS, CLASSES))
        noise = np.sqrt(case.shared) * common + np.sqrt(1 - case.shared) * own
        outputs.append(sharpness * (signal * difficulty * np.eye(CLASSES)[labels] + noise))
    names = tuple(f"member-{number}" for number in range(len(outputs)))
    logits = np.stack(outputs).astype(np.float32)
    scores = ScoresFile(outputs=logits, kind="logits", labels=labels, names=names, macs=case.macs)
    return Population(case.name, scores, tuple((name,) for name in names))


def draw(case: Case, seed: int) -> list[dict[str, Any]]:
    whole = population(case)
    drawn = whole.draw(DRAWN, seed)
    full_cost = sum(case.macs) / case.macs[0]
    records = []
    for objective in OBJECTIVES:
        for budget in BUDGETS:
            fits: dict[str, dict[str, Any]] = {
                "first": {"kind": "first"},
                "threshold": {"kind": "threshold"},
                "paper": {"method": "paper"},
                "ours": {},
            }
            if budget >= full_cost:
                fits["full"] = {"kind": "full"}
            for name, how in fits.items():
                settings = FitSettings(objective=objective, budget=f"{budget}x", seed=seed, **how)
                judged = whole.judged(fit(drawn, whole.stages, settings), objective)
                records.append({"objective": objective, "budget": budget, "fit": name, **judged})
    return records


def summary(case: Case, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best simple policy is the best on average over the draws, which no fit could know."""
    cells = []
    for objective in OBJECTIVES:
        sign = -1 if parse_objective(objective).is_lower_better else 1
        for budget in BUDGETS:
            here = [r for r in records if r["objective"] == objective and r["budget"] == budget]
            values: dict[str, list[float]] = {}
            for record in here:
                values.setdefault(record["fit"], []).append(sign * 100 * record["value"])
            simple = {name: float(np.mean(of)) for name, of in values.items() if name != "ours"}
            best = max(simple, key=lambda name: simple[name])
            ours = np.array(values["ours"])
            cells.append(
                {
                    "case": case.name,
                    "objective": objective,
                    "budget": budget,
                    **{name: round(sign * float(np.mean(of)), 3) for name, of in values.items()},
                    "best_simple": best,
                    "gain": mean_interval((ours - np.array(values[best])).tolist()),
                    "cost": round(float(np.mean([r["cost"] for r in here if r["fit"] == "ours"])), 4),
                }
            )
    return cells
