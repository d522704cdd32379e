"""Part 3: windows against thresholds at equal cost, on two members of each model of the family.

Every fit is made on the calibration rows within the same budget and judged on the test rows. What is
certified is judged by its deployed threshold instead of the test rows' own curve: coverage, and whether the
risk is kept."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.policies.gains import FITS
from benchmarks.policies.oracle import oracle_value
from benchmarks.policies.population import rank_of
from benchmarks.study.contenders import COVERAGE, RISK
from benchmarks.study.estimates import Array, draws, estimate, seeds_part
from benchmarks.study.members import PAIR, family_run
from benchmarks.study.outputs import Archive, Outputs
from benchmarks.study.sizes import Size
from benchmarks.study.words import Record
from cascade.fitting.budget import stage_costs
from cascade.fitting.fit import FitSettings, fit
from cascade.fitting.table import tabulate
from cascade.metrics import cost_macs, selective_risk
from cascade.objectives.parse import parse_objective
from cascade.policy import Policy
from cascade.replay import Replay, replay

OBJECTIVES = (COVERAGE.objective, RISK.objective)
CERTIFIED: Mapping[str, Mapping[str, Any]] = {
    name: {**FITS[name], "certify": 0.1} for name in ("first", "threshold", "paper", "ours")
}
ORACLE = "oracle"
ALL = "all models"


@dataclass(frozen=True)
class Pair:
    """Two members of a model, in the order of their stages."""

    model: str
    seed: int
    outputs: Outputs

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        return tuple((name,) for name in self.outputs.names)


@dataclass(frozen=True)
class Cell:
    """One pair under one objective and budget: by fit its values (1 + resamples,), its cost, and the
    coverage and risk at its deployed threshold, as estimated and as certified."""

    pair: Pair
    objective: str
    budget: float
    values: Mapping[str, Array]
    costs: Mapping[str, float]
    deployed: Mapping[str, tuple[float, float]]
    certified: Mapping[str, tuple[float, float]]


def windows(size: Size, archive: Archive, jobs: int) -> Record:
    pairs = [
        Pair(model, seed, archive.outputs(family_run(size, model)).members([seed, (seed + 1) % size.members]))
        for model in size.models
        for seed in range(size.members)
    ]
    asked = [
        (pair, objective, budget) for pair in pairs for objective in OBJECTIVES for budget in size.budgets
    ]
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(_cell, *one, size.resamples) for one in asked]
        cells = [future.result() for future in futures]
    return {"cells": [_record(*one) for one in _grouped(size, cells)]}


def _cell(pair: Pair, objective: str, budget: float, resamples: int) -> Cell:
    played = {name: _played(pair, objective, budget, how) for name, how in FITS.items()}
    drawn = draws(pair.outputs.test.num_rows, {}, resamples)
    costs = stage_costs(pair.outputs.test.macs, pair.outputs.test, pair.stages)
    values = {
        name: _values(policy, replayed, pair, objective, [draw.counts for draw in drawn])
        for name, (policy, replayed) in played.items()
    }
    is_certifiable = parse_objective(objective).can_certify
    return Cell(
        pair=pair,
        objective=objective,
        budget=budget,
        values={**values, ORACLE: np.full(1 + resamples, _oracle(pair, objective, budget))},
        costs={
            name: cost_macs(replayed.exit_stage, costs) / costs[0] for name, (_, replayed) in played.items()
        },
        deployed={name: _deployed(pair, replayed) for name, (_, replayed) in played.items()},
        certified={
            name: _deployed(pair, _played(pair, objective, budget, how)[1])
            for name, how in (CERTIFIED if is_certifiable else {}).items()
        },
    )


def _played(pair: Pair, objective: str, budget: float, how: Mapping[str, Any]) -> tuple[Policy, Replay]:
    settings = FitSettings(objective=objective, budget=f"{budget}x", seed=pair.seed, **how)
    policy = fit(pair.outputs.calibration, pair.stages, settings)
    return policy, replay(policy, pair.stages, pair.outputs.test, keep_probabilities=False)


def _values(policy: Policy, replayed: Replay, pair: Pair, objective: str, counts: Sequence[Array]) -> Array:
    rank, parsed = rank_of(policy, replayed), parse_objective(objective)
    order = np.argsort(-rank, kind="stable")
    ranked, is_correct = rank[order], (replayed.label == pair.outputs.test.labels)[order]
    return np.array([parsed.value(ranked, is_correct, weight[order]) for weight in counts])


def _deployed(pair: Pair, replayed: Replay) -> tuple[float, float]:
    is_correct = replayed.label == pair.outputs.test.labels
    return float(replayed.accepted.mean()), selective_risk(replayed.accepted, is_correct)


def _oracle(pair: Pair, objective: str, budget: float) -> float:
    """The same rows, with a gate that knows what each exit would give."""
    parsed, scores = parse_objective(objective), pair.outputs.test
    costs = stage_costs(scores.macs, scores, pair.stages)
    table = tabulate(Policy(kind="full", num_stages=PAIR), pair.stages, scores, parsed, costs)
    return oracle_value(table, parsed, (budget - 1) * costs[0] / costs[1])


def _grouped(size: Size, cells: Sequence[Cell]) -> Iterator[tuple[str, Sequence[Sequence[Cell]]]]:
    """For each objective and budget the cells of each model by seed, and of all models together."""
    for objective in OBJECTIVES:
        for budget in size.budgets:
            here = [cell for cell in cells if (cell.objective, cell.budget) == (objective, budget)]
            by_seed = [[cell for cell in here if cell.pair.seed == seed] for seed in range(size.members)]
            yield ALL, by_seed
            for model in size.models:
                yield model, [[cell for cell in of_seed if cell.pair.model == model] for of_seed in by_seed]


def _record(model: str, by_seed: Sequence[Sequence[Cell]]) -> Record:
    """Values are means over models, estimated over seeds and images."""
    one = by_seed[0][0]
    values = {
        name: np.array([np.mean([cell.values[name] for cell in of_seed], axis=0) for of_seed in by_seed])
        for name in one.values
    }
    sign = -1 if parse_objective(one.objective).is_lower_better else 1
    gains = {
        f"{name} over {other}": sign * (values[name] - values[other])
        for name, other in (("ours", "threshold"), ("paper", "threshold"), ("ours", "paper"))
    }
    seen = {name: float(array[:, 0].mean()) for name, array in values.items()}
    flat = [cell for of_seed in by_seed for cell in of_seed]
    # Pairs of a model share its members in rotation, and differ less than pairs of fresh ones would.
    least = seeds_part(values["first"])
    return {
        "model": model,
        "objective": one.objective,
        "budget": one.budget,
        "values": {name: asdict(estimate(array, least)) for name, array in values.items() if name != ORACLE},
        ORACLE: seen[ORACLE],
        "gains": {name: asdict(estimate(array)) for name, array in gains.items()},
        "share_of_gap": {name: _share(seen, name) for name in ("threshold", "paper", "ours")},
        "costs": {name: round(float(np.mean([cell.costs[name] for cell in flat])), 4) for name in one.costs},
        "deployed": {name: _risks([cell.deployed[name] for cell in flat]) for name in one.deployed},
        "certified": {name: _risks([cell.certified[name] for cell in flat]) for name in one.certified},
    }


def _share(seen: Mapping[str, float], name: str) -> float | None:
    """How much of the way from the first member alone to the oracle."""
    gap = seen[ORACLE] - seen["first"]
    return None if gap == 0 else round((seen[name] - seen["first"]) / gap, 4)


def _risks(deployed: Sequence[tuple[float, float]]) -> Record:
    """Of pairs, what they accept, its risk, and how many are above the target on the test rows."""
    found = np.array(deployed)
    return {
        "coverage": round(float(found[:, 0].mean()), 5),
        "risk": round(float(found[:, 1].mean()), 5),
        "exceeded": int((found[:, 1] > COVERAGE.parsed.target).sum()),
        "pairs": len(found),
    }
