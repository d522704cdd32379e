"""What a peer decides in NumPy: who is forwarded, and what both members say together. Needs NumPy alone."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


def softmax(logits: NDArray[np.floating[Any]]) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def forwarded(probabilities: Array, threshold: float) -> NDArray[np.intp]:
    """The rows that the first member is not sure enough of."""
    return np.flatnonzero(probabilities.max(axis=1) < threshold)


def combined(first: Array, second: Array) -> Array:
    return (first + second) / 2
