"""Part 1: ensembles and cascades of small models against single larger ones of the same family.

A contender's CPU time is that of the models of its stages, each served alone and saturated (part 4), times
the share of rows that reach it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.study.contenders import (
    CONTENDERS,
    COVERAGE,
    FULL,
    FULL_OF_THREE,
    SINGLE,
    TASKS,
    UPWARDS,
    WINDOW,
    WINDOW_OF_THREE,
    Contender,
    figures,
    play,
)
from benchmarks.study.estimates import Array, draws, estimate
from benchmarks.study.members import family_run
from benchmarks.study.outputs import Archive, Outputs
from benchmarks.study.sizes import Size
from benchmarks.study.strange import FAMILIES

Record = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """`values` are (seeds, 1 + resamples) by figure; `reach` (seeds, stages): the share of rows that run
    it."""

    model: str
    contender: Contender
    stage_models: tuple[str, ...]
    stage_macs: tuple[float, ...]
    reach: Array
    values: Mapping[str, Array]

    def cost(self, model_cpu_ms: Mapping[str, float] | None = None) -> float:
        """Of a row, in multiply-adds, or in the server's CPU milliseconds where those of each model are
        given."""
        stages = self.stage_macs
        if model_cpu_ms is not None:
            stages = tuple(model_cpu_ms[model] for model in self.stage_models)
        return float(self.reach.mean(axis=0) @ np.asarray(stages))


def scaling(size: Size, archive: Archive, model_cpu_ms: Mapping[str, float], jobs: int) -> Record:
    """Records of what was judged, and of differences: between contenders, and to singles of the same cost."""
    family = {model: archive.outputs(family_run(size, model)) for model in size.models}
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(_judged, *asked, size.resamples) for asked in _asked(size, family)]
        judged = [future.result() for future in futures]
    return {
        "judged": [_record(each, model_cpu_ms) for each in judged],
        "differences": [_difference(*pair, model_cpu_ms) for pair in _pairs(size, judged)],
        "at_equal_cost": list(_at_equal_cost(judged, model_cpu_ms)),
    }


def _asked(
    size: Size, family: Mapping[str, Outputs]
) -> Iterator[tuple[str, Contender, tuple[str, ...], list[Outputs]]]:
    for model, outputs in family.items():
        for contender in CONTENDERS:
            chosen = [
                outputs.members([(seed + stage) % size.members for stage in range(contender.num_stages)])
                for seed in range(size.members)
            ]
            yield model, contender, (model,) * contender.num_stages, chosen
    for model, larger in zip(size.models, size.models[1:], strict=False):
        joined = [
            family[model].members([seed]).beside(family[larger].members([seed]))
            for seed in range(size.members)
        ]
        yield model, UPWARDS, (model, larger), joined


def _judged(
    model: str, contender: Contender, stage_models: tuple[str, ...], seeds: Sequence[Outputs], resamples: int
) -> Judged:
    test = seeds[0].test
    sizes = {name: test.ood_families.count(name) for name in FAMILIES}
    drawn = draws(test.num_rows, sizes, resamples)
    played = [{task: play(contender, task, outputs) for task in TASKS} for outputs in seeds]
    exits = np.stack([of_seed[COVERAGE].exits for of_seed in played])
    stages = np.arange(1, contender.num_stages + 1)
    return Judged(
        model=model,
        contender=contender,
        stage_models=stage_models,
        stage_macs=seeds[0].test.macs[: contender.num_stages],
        reach=(exits[:, :, None] >= stages).mean(axis=1),
        values=_values([[figures(of_seed, draw) for draw in drawn] for of_seed in played]),
    )


def _values(rows: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, Array]:
    return {name: np.array([[one[name] for one in of_seed] for of_seed in rows]) for name in rows[0][0]}


def _record(judged: Judged, model_cpu_ms: Mapping[str, float]) -> Record:
    return {
        "model": judged.model,
        "contender": judged.contender.name,
        "stage_models": list(judged.stage_models),
        "reach": judged.reach.mean(axis=0).round(4).tolist(),
        "macs": judged.cost(),
        "cpu_ms": judged.cost(model_cpu_ms),
        "figures": {
            name: asdict(estimate(values)) | {"seeds": values[:, 0].round(5).tolist()}
            for name, values in judged.values.items()
        },
    }


def _pairs(size: Size, judged: Sequence[Judged]) -> Iterator[tuple[Judged, Judged]]:
    """Each contender with its model's single and full, and with a single of the next larger model."""
    found = {(each.model, each.contender.name): each for each in judged}
    larger = dict(zip(size.models, size.models[1:], strict=False))
    for each in judged:
        if each.contender != SINGLE:
            yield each, found[each.model, SINGLE.name]
        whole = FULL_OF_THREE if each.contender.num_stages == 3 else FULL
        if each.contender.num_stages > 1 and each.contender not in (whole, UPWARDS):
            yield each, found[each.model, whole.name]
        if each.model in larger and each.contender in (FULL, WINDOW, WINDOW_OF_THREE, UPWARDS):
            yield each, found[larger[each.model], SINGLE.name]


def _difference(one: Judged, other: Judged, model_cpu_ms: Mapping[str, float]) -> Record:
    return {
        "model": one.model,
        "contender": one.contender.name,
        "against_model": other.model,
        "against": other.contender.name,
        "macs_ratio": one.cost() / other.cost(),
        "cpu_ratio": one.cost(model_cpu_ms) / other.cost(model_cpu_ms),
        "figures": {name: asdict(estimate(one.values[name] - other.values[name])) for name in one.values},
    }


def _at_equal_cost(judged: Sequence[Judged], model_cpu_ms: Mapping[str, float]) -> Iterator[Record]:
    """Each contender against what a single model of its cost would give, on the line through the family.

    Between two neighbouring singles figures are interpolated over the logarithm of the cost. Contenders
    dearer than the largest single have nothing to be compared with.
    """
    singles = [each for each in judged if each.contender == SINGLE]
    for unit, costs in (("macs", None), ("cpu_ms", model_cpu_ms)):
        for each in judged:
            share = _between([single.cost(costs) for single in singles], each.cost(costs))
            if each.contender != SINGLE and share is not None:
                place, part = share
                line = {
                    name: (1 - part) * singles[place].values[name] + part * singles[place + 1].values[name]
                    for name in each.values
                }
                yield {
                    "model": each.model,
                    "contender": each.contender.name,
                    "unit": unit,
                    "cost": each.cost(costs),
                    "figures": {
                        name: asdict(estimate(each.values[name] - line[name])) for name in each.values
                    },
                }


def _between(costs: Sequence[float], cost: float) -> tuple[int, float] | None:
    """The place of the cost's lower neighbour, and how far it is on the way to the upper one; None
    outside."""
    for place, (low, high) in enumerate(pairwise(costs)):
        if low <= cost <= high:
            return place, math.log(cost / low) / math.log(high / low)
    return None
