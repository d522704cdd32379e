"""Part 1: ensembles and cascades of small models against single larger ones of the same family.

A contender's CPU time is computed: that of the models of its stages, each served alone and saturated (part
4), times the share of rows that reach it. What cascades cost as they are served is in part 4. Of a size that
is not served there are multiply-adds alone.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from benchmarks.study.contenders import (
    CONTENDERS,
    FULL,
    FULL_OF_THREE,
    SINGLE,
    TASKS,
    UPWARDS,
    WINDOW,
    WINDOW_OF_THREE,
    Contender,
    judge,
    play,
    reach,
)
from benchmarks.study.estimates import Array, draws, estimate, seeds_part
from benchmarks.study.figures import (
    ACCEPTING,
    ACCURACY,
    AUROC_NEAR,
    COSTS,
    COVERAGE_AT_RISK,
    FIGURES,
)
from benchmarks.study.members import family_run
from benchmarks.study.outputs import Archive, Outputs
from benchmarks.study.sizes import Size
from benchmarks.study.strange import FAMILIES
from benchmarks.study.words import BETTER, CPU, MACS, Record, verdict

Costs = Mapping[str, float]
"""Of a row of each model, in one unit."""

KEPT = (COVERAGE_AT_RISK, ACCURACY, AUROC_NEAR)


@dataclass(frozen=True)
class Judged:
    """`values` are (seeds, 1 + resamples) by figure; `reach` (seeds, stages), the shares of rows that run
    each stage, by the cost that goes with figures."""

    model: str
    contender: Contender
    stage_models: tuple[str, ...]
    reach: Mapping[str, Array]
    values: Mapping[str, Array]

    @property
    def key(self) -> tuple[str, str]:
        return self.model, self.contender.name

    @property
    def is_in_rotation(self) -> bool:
        """Whether its seeds share members."""
        return len(self.stage_models) > 1 and len(set(self.stage_models)) == 1

    def cost(self, costs: Costs, kind: str = ACCEPTING) -> float:
        return float(self.reach[kind].mean(axis=0) @ [costs[model] for model in self.stage_models])


def scaling(size: Size, archive: Archive, model_cpu_ms: Costs | None, jobs: int) -> Record:
    """Records of what was judged, and of differences: between contenders, and to singles of the same cost in
    each unit that there is."""
    family = {model: archive.outputs(family_run(size, model)) for model in size.models}
    units: dict[str, Costs] = {MACS: {model: outputs.test.macs[0] for model, outputs in family.items()}}
    if model_cpu_ms is not None:
        units[CPU] = model_cpu_ms
    fronts = {unit: front(costs, calibration_accuracy(family)) for unit, costs in units.items()}
    larger = next_larger(units[MACS], fronts[MACS])
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(_judged, *asked, size.resamples) for asked in _asked(size, family, larger)]
        judged = {each.key: each for each in (future.result() for future in futures)}
    return {
        "fronts": fronts,
        "judged": [_record(each, judged, units) for each in judged.values()],
        "differences": [_difference(*pair, judged, units) for pair in _pairs(judged, larger)],
        "at_equal_cost": [
            _at_equal_cost(each, judged, fronts[unit], costs, unit)
            for unit, costs in units.items()
            for each in judged.values()
            if each.contender != SINGLE
        ],
        "kept": {name: _kept(judged, size.models, name) for name in KEPT},
    }


def calibration_accuracy(family: Mapping[str, Outputs]) -> dict[str, float]:
    """Of single members, in the mean: what says which models are worth their cost, without test rows."""
    return {
        model: float(np.mean(outputs.calibration.outputs.argmax(axis=2) == outputs.calibration.labels))
        for model, outputs in family.items()
    }


def front(costs: Costs, accuracy: Mapping[str, float]) -> list[str]:
    """The models that are more accurate than every cheaper one, by rising cost."""
    best, found = -math.inf, []
    for model in sorted(costs, key=lambda name: costs[name]):
        if accuracy[model] > best:
            best = accuracy[model]
            found.append(model)
    return found


def next_larger(costs: Costs, on_front: Sequence[str]) -> dict[str, str]:
    """For each model the first on the front that costs more; none for those that nothing lies above."""
    found = {}
    for model, cost in costs.items():
        above = next((other for other in on_front if costs[other] > cost), None)
        if above is not None:
            found[model] = above
    return found


Asked = tuple[str, Contender, tuple[str, ...], list[Outputs]]


def _asked(size: Size, family: Mapping[str, Outputs], larger: Mapping[str, str]) -> Iterator[Asked]:
    for model, outputs in family.items():
        for contender in CONTENDERS:
            chosen = [
                outputs.members([(seed + stage) % size.members for stage in range(contender.num_stages)])
                for seed in range(size.members)
            ]
            yield model, contender, (model,) * contender.num_stages, chosen
    for model, above in larger.items():
        joined = [
            family[model].members([seed]).beside(family[above].members([seed]))
            for seed in range(size.members)
        ]
        yield model, UPWARDS, (model, above), joined


def _judged(
    model: str, contender: Contender, stage_models: tuple[str, ...], seeds: Sequence[Outputs], resamples: int
) -> Judged:
    test = seeds[0].test
    sizes = {name: test.ood_families.count(name) for name in FAMILIES}
    drawn = draws(test.num_rows, sizes, resamples)
    played = [
        {task: play(contender, task, outputs, seed) for task in TASKS} for seed, outputs in enumerate(seeds)
    ]
    reached = [reach(of_seed) for of_seed in played]
    rows = [[judge(of_seed, draw) for draw in drawn] for of_seed in played]
    return Judged(
        model=model,
        contender=contender,
        stage_models=stage_models,
        reach={kind: np.stack([of_seed[kind] for of_seed in reached]) for kind in COSTS},
        values={name: np.array([[one[name] for one in of_seed] for of_seed in rows]) for name in rows[0][0]},
    )


Found = Mapping[tuple[str, str], Judged]


def _single(judged: Found, model: str) -> Judged:
    return judged[model, SINGLE.name]


def _record(each: Judged, judged: Found, units: Mapping[str, Costs]) -> Record:
    own = _single(judged, each.model)
    return {
        "model": each.model,
        "contender": each.contender.name,
        "stage_models": list(each.stage_models),
        "reach": each.reach[ACCEPTING].mean(axis=0).round(4).tolist(),
        **{unit: {kind: each.cost(costs, kind) for kind in COSTS} for unit, costs in units.items()},
        "figures": {
            name: asdict(estimate(values, seeds_part(own.values[name]) if each.is_in_rotation else 0.0))
            | {"seeds": values[:, 0].round(5).tolist()}
            for name, values in each.values.items()
        },
    }


def _pairs(judged: Found, larger: Mapping[str, str]) -> Iterator[tuple[Judged, Judged]]:
    """Each contender with its model's single and full, and with a single of the next larger model."""
    for each in judged.values():
        if each.contender != SINGLE:
            yield each, _single(judged, each.model)
        whole = FULL_OF_THREE if each.contender.num_stages == 3 else FULL
        if each.contender.num_stages > 1 and each.contender not in (whole, UPWARDS):
            yield each, judged[each.model, whole.name]
        if each.model in larger and each.contender in (FULL, WINDOW, WINDOW_OF_THREE, UPWARDS):
            yield each, _single(judged, larger[each.model])


def _difference(one: Judged, other: Judged, judged: Found, units: Mapping[str, Costs]) -> Record:
    """Seeds are paired within a model; of two models the seeds' parts add up."""
    singles = [_single(judged, model) for model in {one.model, other.model}]
    is_across = len(singles) > 1

    def of_seeds(name: str) -> float:
        return sum(seeds_part(single.values[name]) for single in singles) if is_across else 0.0

    return {
        "model": one.model,
        "contender": one.contender.name,
        "against_model": other.model,
        "against": other.contender.name,
        **{f"{unit}_ratio": one.cost(costs) / other.cost(costs) for unit, costs in units.items()},
        "figures": {
            name: asdict(estimate(one.values[name] - other.values[name], of_seeds(name)))
            for name in one.values
        },
    }


def _at_equal_cost(each: Judged, judged: Found, on_front: Sequence[str], costs: Costs, unit: str) -> Record:
    """A contender against what a single model of its cost would give, on the line through the front.

    Between two neighbours figures are interpolated over the logarithm of the cost, the cost being that of the
    policy that the figure is of. Contenders dearer than the largest single have nothing beside them: None.
    """
    figures: dict[str, Record | None] = {}
    for name, values in each.values.items():
        cost = each.cost(costs, FIGURES[name].cost)
        place, part = between([costs[model] for model in on_front], cost) or (0, math.nan)
        if math.isnan(part):
            figures[name] = None
            continue
        lower, upper = (_single(judged, model).values[name] for model in on_front[place : place + 2])
        least = part**2 * (seeds_part(_single(judged, each.model).values[name]) + seeds_part(upper))
        line = (1 - part) * lower + part * upper
        figures[name] = asdict(estimate(values - line, least if each.is_in_rotation else 0.0))
    return {"model": each.model, "contender": each.contender.name, "unit": unit, "figures": figures}


def between(costs: Sequence[float], cost: float) -> tuple[int, float] | None:
    """The place of the cost's lower neighbour, and how far it is on the way to the upper one; None
    outside."""
    for place, (low, high) in enumerate(pairwise(costs)):
        if low <= cost <= high:
            return place, math.log(cost / low) / math.log(high / low)
    return None


def _kept(judged: Found, models: Sequence[str], figure: str) -> Record | None:
    """The share of what two members gain on one that their window keeps: of all models together, and of each.

    Models whose full ensemble gains nothing that shows are left out; None where none does.
    """
    gains: dict[str, tuple[Array, Array]] = {}
    for model in models:
        single, full, window = (judged[model, of.name].values[figure] for of in (SINGLE, FULL, WINDOW))
        if verdict(figure, asdict(estimate(full - single))) == BETTER:
            gains[model] = window - single, full - single
    if not gains:
        return None
    kept, whole = (np.sum([of[place] for of in gains.values()], axis=0) for place in (0, 1))
    return asdict(estimate(kept / whole)) | {
        "models": {
            model: float(part[:, 0].mean() / all_[:, 0].mean()) for model, (part, all_) in gains.items()
        }
    }
