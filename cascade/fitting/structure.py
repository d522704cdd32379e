"""How the members' outputs are combined: a temperature each, and weights over those that have run.

Both are fitted by the likelihood of the labels, on no more rows than the estimate needs.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from cascade.combine import member_probabilities
from cascade.fitting.table import Index
from cascade.policy import Policy
from cascade.scores import Array
from cascade.scores_file import ScoresFile
from cascade.stages import Stages

STRUCTURES = ("plain", "temperatures", "weights")
"""From the simplest: equal weights; a temperature per member; temperatures and weights."""

MAX_ELEMENTS = 2_000_000
MIN_WEIGHT = 1e-3
EM_STEPS = 200
TEMPERATURES = (0.05, 20.0)


def structured(plain: Policy, name: str, stages: Stages, scores: ScoresFile, rows: Index) -> Policy:
    """`plain` with the temperatures and weights of a structure, fitted on in-distribution `rows`."""
    if name == "plain":
        return plain
    few = rows[:: 1 + len(rows) * scores.outputs.shape[2] // MAX_ELEMENTS]
    slots = [scores.member(member) for stage in stages for member in stage]
    temperatures = tuple(_temperature(scores, slot, few) for slot in slots)
    if name == "temperatures":
        return replace(plain, temperatures=temperatures)
    likelihoods = np.stack(
        [_likelihood(scores, slot, few, value) for slot, value in zip(slots, temperatures, strict=True)]
    )
    sizes = np.cumsum([len(stage) for stage in stages])
    weights = tuple(mixture_weights(likelihoods[:size]) for size in sizes)
    return replace(plain, temperatures=temperatures, weights=weights)


def _temperature(scores: ScoresFile, slot: int, rows: Index) -> float:
    """Guo et al. (2017): the temperature with the least negative log likelihood."""

    def loss(log_temperature: float) -> float:
        likelihood = _likelihood(scores, slot, rows, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(likelihood, 1e-12)).mean())

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-3})
    return round(float(np.exp(found.x)), 4)


def _likelihood(scores: ScoresFile, slot: int, rows: Index, temperature: float) -> Array:
    """Probability of the true label `(rows,)`."""
    probabilities = member_probabilities(np.asarray(scores.outputs[slot, rows]), scores.kind, temperature)
    return np.asarray(probabilities[np.arange(len(rows)), scores.labels[rows]])


def mixture_weights(likelihoods: Array) -> tuple[float, ...]:
    """Weights of a mixture `(members, rows)` by expectation maximisation (Dempster, Laird & Rubin 1977)."""
    weights = np.full(len(likelihoods), 1.0 / len(likelihoods))
    floored = np.maximum(likelihoods, 1e-12)
    for _ in range(EM_STEPS):
        shares = weights[:, None] * floored
        weights = (shares / shares.sum(axis=0)).mean(axis=1)
    return tuple(round(float(weight), 4) for weight in np.maximum(weights, MIN_WEIGHT))
