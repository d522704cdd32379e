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
    return softmax_in_place(logits.astype(np.float64))


def softmax_in_place(logits: Array) -> Array:
    """Softmax that overwrites its argument: fresh memory costs a large batch more than the arithmetic."""
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    return logits


def msp(probabilities: Array) -> Array:
    """Maximum softmax probability (Hendrycks & Gimpel 2017)."""
    return np.asarray(probabilities.max(axis=-1))


def negative_entropy(probabilities: Array) -> Array:
    """`sum p log p`, in nats: 0 for a certain prediction."""
    terms = np.where(probabilities > 0, probabilities, 1.0)  # 0 log 0 is 0, and so is 0 log 1
    np.log(terms, out=terms)
    terms *= probabilities
    return np.asarray(terms.sum(axis=-1))


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
    shifted = logits.astype(np.float64)
    largest = shifted.max(axis=-1)
    shifted -= largest[..., None]
    np.exp(shifted, out=shifted)
    return np.asarray(largest + np.log(shifted.sum(axis=-1)))


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


CLASS_SCORE = "class="


def score_named(name: str) -> Score:
    """One of `SCORES`, or `class=K`: the probability of class K, for decisions on one class."""
    if name.startswith(CLASS_SCORE):
        number = _class_of(name)
        return Score("probabilities", lambda probabilities: np.asarray(probabilities[..., number]))
    if name not in SCORES:
        raise PolicyError(f"unknown score {name!r}; there are: {', '.join(SCORES)}, {CLASS_SCORE}K")
    return SCORES[name]


def check_score(name: str, kind: OutputKind, num_classes: int) -> None:
    """PolicyError where outputs of this kind and size do not hold what the score is read from."""
    if score_named(name).read_from == "logits" and kind != "logits":
        raise PolicyError(f"score {name!r} needs logits, and there are probabilities alone")
    if name.startswith(CLASS_SCORE) and _class_of(name) >= num_classes:
        raise PolicyError(f"score {name!r}: the classes are 0 to {num_classes - 1}")


def _class_of(name: str) -> int:
    number = name.removeprefix(CLASS_SCORE)
    if not (number.isascii() and number.isdigit()):
        raise PolicyError(f"score {name!r}: {number!r} is no class number")
    return int(number)
