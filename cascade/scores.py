"""How sure a prediction looks. Every score is float64 and higher means surer.

Arrays are `(rows, classes)` in, `(rows,)` out; no row depends on another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cascade.errors import PolicyError

Array = NDArray[np.float64]
OutputKind = Literal["logits", "probabilities"]


def softmax(logits: NDArray[np.floating]) -> Array:
    """Softmax in float64, safe for logits of any finite size."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=-1, keepdims=True)
    return shifted


def msp(probabilities: Array) -> Array:
    """Maximum softmax probability (Hendrycks & Gimpel 2017)."""
    return np.asarray(probabilities.max(axis=-1))


def negative_entropy(probabilities: Array) -> Array:
    """`sum p log p`, in nats: 0 for a certain prediction."""
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.asarray((probabilities * logs).sum(axis=-1))


def margin(probabilities: Array) -> Array:
    """Largest probability minus the second largest."""
    top = np.partition(probabilities, -2, axis=-1)
    return np.asarray(top[..., -1] - top[..., -2])


def doctor_alpha(probabilities: Array) -> Array:
    """DOCTOR's alpha criterion (Granese et al. 2021), negated: `-(1 - g) / g` with `g = sum p^2`."""
    gini = np.square(probabilities).sum(axis=-1)
    return np.asarray(-(1.0 - gini) / gini)


def doctor_beta(probabilities: Array) -> Array:
    """DOCTOR's beta criterion (Granese et al. 2021), negated: `-(1 - m) / m` with `m = max p`."""
    largest = probabilities.max(axis=-1)
    return np.asarray(-(1.0 - largest) / largest)


def max_logit(logits: NDArray[np.floating]) -> Array:
    """Largest logit (Hendrycks et al. 2022)."""
    return np.asarray(logits.max(axis=-1), np.float64)


def negative_energy(logits: NDArray[np.floating]) -> Array:
    """`logsumexp(logits)`, the negated energy of Liu et al. (2020) at temperature 1."""
    exact = logits.astype(np.float64)
    largest = exact.max(axis=-1)
    return np.asarray(largest + np.log(np.exp(exact - largest[..., None]).sum(axis=-1)))


@dataclass(frozen=True)
class Score:
    """A score and what it is read from.

    A score of probabilities is taken of the members' combined prediction; a score of logits is
    taken of each member and averaged, as in Xia & Bouganis (2023).
    """

    read_from: OutputKind
    function: Callable[[Array], Array]


SCORES: dict[str, Score] = {
    "msp": Score("probabilities", msp),
    "entropy": Score("probabilities", negative_entropy),
    "margin": Score("probabilities", margin),
    "doctor_alpha": Score("probabilities", doctor_alpha),
    "doctor_beta": Score("probabilities", doctor_beta),
    "max_logit": Score("logits", max_logit),
    "energy": Score("logits", negative_energy),
}


def score_named(name: str) -> Score:
    if name not in SCORES:
        raise PolicyError(f"unknown score {name!r}; there are: {', '.join(SCORES)}")
    return SCORES[name]
