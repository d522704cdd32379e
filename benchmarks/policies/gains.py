"""At equal cost: ours against the paper's rule, a single threshold, and an oracle."""

from collections.abc import Sequence
from typing import Any

from benchmarks.policies.oracle import oracle_value
from benchmarks.policies.population import Population
from benchmarks.policies.tally import mean_interval
from cascade.fitting.budget import stage_costs
from cascade.fitting.fit import FitSettings, fit
from cascade.fitting.table import tabulate
from cascade.objectives.parse import parse_objective
from cascade.policy import Policy

OBJECTIVES = ("coverage@risk=0.05", "risk@coverage=0.8")
BUDGETS = (1.1, 1.2, 1.3, 1.5)
FITS: dict[str, dict[str, Any]] = {
    "first": {"kind": "first"},
    "threshold": {"kind": "threshold"},
    "paper": {"method": "paper"},
    "ours": {},
    "full": {"kind": "full"},
}


def draw(population: Population, num_rows: int, seed: int) -> list[dict[str, Any]]:
    """One calibration set: every fit for every objective and budget, judged on the population."""
    drawn = population.draw(num_rows, seed)
    records = []
    for objective in OBJECTIVES:
        for budget in BUDGETS:
            for name, how in FITS.items():
                settings = FitSettings(objective=objective, budget=f"{budget}x", seed=seed, **how)
                policy = fit(drawn, population.stages, settings)
                record = {"objective": objective, "budget": budget, "fit": name, "draw": seed}
                record["chosen"] = policy.evidence.get("chosen")
                records.append(record | population.judged(policy, objective))
    return records


def summary(population: Population, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per objective and budget: values in percent, the gain over the paper's rule in points, costs."""
    return [_cell(population, objective, budget, records) for objective in OBJECTIVES for budget in BUDGETS]


def _cell(
    population: Population, objective: str, budget: float, records: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    here = [r for r in records if r["objective"] == objective and r["budget"] == budget]
    by_fit = {name: [r for r in here if r["fit"] == name] for name in FITS}
    values = {name: [100 * r["value"] for r in rows] for name, rows in by_fit.items()}
    sign = -1 if parse_objective(objective).is_lower_better else 1
    gains = [sign * (ours - paper) for ours, paper in zip(values["ours"], values["paper"], strict=True)]
    cell: dict[str, Any] = {"population": population.name, "objective": objective, "budget": budget}
    cell |= {name: round(sum(of) / len(of), 3) for name, of in values.items()}
    cell["gain"] = mean_interval(gains)
    cell["share_of_draws_better"] = round(sum(gain > 0 for gain in gains) / len(gains), 3)
    for name in ("ours", "paper"):
        costs = [r["cost"] for r in by_fit[name]]
        cell[f"cost_{name}"] = round(sum(costs) / len(costs), 4)
    for key in ("coverage", "risk"):
        cell[f"deployed_{key}"] = mean_interval([100 * r[key] for r in by_fit["ours"]])
    if len(population.stages) == 2:
        cell |= _oracle(population, objective, budget, cell, sign)
    return cell


def _oracle(
    population: Population, objective: str, budget: float, cell: dict[str, Any], sign: int
) -> dict[str, Any]:
    parsed = parse_objective(objective)
    costs = stage_costs(population.scores.macs, population.scores, population.stages)
    plain = Policy(kind="full", num_stages=2)
    table = tabulate(plain, population.stages, population.scores, parsed, costs)
    oracle = 100 * oracle_value(table, parsed, (budget - 1) * costs[0] / costs[1])
    gap = sign * (oracle - cell["paper"])
    return {"oracle": round(oracle, 3), "share_of_gap": round(cell["gain"][0] / gap, 3) if gap > 0 else None}


def pooled(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean gain over the cells of each file and objective, and over those at a budget of 1.2.

    Cells share their draws, so their errors are taken to add up: the interval is wider than it need be.
    """
    result: dict[str, Any] = {}
    for file in dict.fromkeys(cell["population"].partition(":")[0] for cell in cells):
        for objective in OBJECTIVES:
            here = [
                c for c in cells if c["population"].startswith(f"{file}:") and c["objective"] == objective
            ]
            result[f"{file}, {objective}"] = {
                "gain": _mean_gain(here),
                "gain_at_1.2": _mean_gain([cell for cell in here if cell["budget"] == 1.2]),
            }
    return {"pooled": result}


def _mean_gain(cells: Sequence[dict[str, Any]]) -> list[float]:
    gains = [cell["gain"] for cell in cells]
    return [round(sum(column) / len(gains), 4) for column in zip(*gains, strict=True)]
