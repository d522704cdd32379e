"""From the outputs of the members so far to one prediction and one score."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cascade.errors import PolicyError
from cascade.scores import Array, OutputKind, score_named, softmax_in_place

Outputs = Sequence[NDArray[np.floating]]


def member_probabilities(output: NDArray[np.floating], kind: OutputKind, temperature: float = 1.0) -> Array:
    """One member's probabilities, float64 `(rows, classes)`, at a temperature."""
    if kind == "logits":
        return softmax_in_place(_scaled(output, temperature))
    exact = output.astype(np.float64)
    if temperature == 1.0:
        return exact
    powered = exact ** (1.0 / temperature)
    return np.asarray(powered / powered.sum(axis=-1, keepdims=True))


def _scaled(logits: NDArray[np.floating], temperature: float) -> Array:
    """A float64 copy of logits at a temperature."""
    exact = logits.astype(np.float64)
    if temperature != 1.0:
        exact /= temperature
    return exact


def weighted_mean(arrays: Sequence[Array], weights: Sequence[float]) -> Array:
    """Mean of equally shaped arrays under weights that are renormalised over them."""
    if len(arrays) == 1:
        return arrays[0]
    mean = arrays[0] * weights[0]
    for array, weight in zip(arrays[1:], weights[1:], strict=True):
        mean += array * weight
    mean /= sum(weights)
    return mean


def combined_score(
    name: str,
    probabilities: Array,
    outputs: Outputs,
    kinds: Sequence[OutputKind],
    weights: Sequence[float],
    temperatures: Sequence[float],
) -> Array:
    """The score of the combination: of the mean prediction, or the mean of the members' own scores."""
    score = score_named(name)
    if score.read_from == "probabilities":
        return score.function(probabilities)
    if any(kind != "logits" for kind in kinds):
        raise PolicyError(f"score {name!r} needs logits, and a member gives probabilities")
    scaled = [_scaled(output, temperature) for output, temperature in zip(outputs, temperatures, strict=True)]
    return weighted_mean([score.function(logits) for logits in scaled], weights)
