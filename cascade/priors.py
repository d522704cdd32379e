"""Target class priors: how often classes come where a policy is to serve, if not as often as in the rows.

Under a shift of prevalence alone the rows of each class stay what they are, so rows weighted by the ratio
of the priors stand for the target (Saerens et al. 2002).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.errors import FormatError
from cascade.fields import numbers, read_json
from cascade.scores import Array

SUM_TOLERANCE = 1e-6


def parse_priors(text: str, num_classes: int) -> tuple[float, ...]:
    """Priors from `class=share,...` or from a JSON file: a list, or an object by class number. Classes that
    are not named have none."""
    if text.endswith(".json"):
        return _from_json(read_json(Path(text)), text, num_classes)
    pairs = [item.partition("=") for item in text.split(",")]
    return _checked({key.strip(): _number(share, text) for key, _, share in pairs}, text, num_classes)


def _from_json(value: Any, where: str, num_classes: int) -> tuple[float, ...]:
    if isinstance(value, dict):
        by_name = zip(value, numbers(list(value.values()), where), strict=True)
        return _checked(dict(by_name), where, num_classes)
    shares = numbers(value, where)
    if len(shares) != num_classes:
        raise FormatError(f"{where}: {len(shares)} priors, and there are {num_classes} classes")
    return _checked(dict(enumerate(shares)), where, num_classes)


def _number(share: str, text: str) -> float:
    try:
        return float(share)
    except ValueError:
        raise FormatError(f"priors {text!r} are not of the form class=share,...") from None


def _checked(shares: dict[Any, float], where: str, num_classes: int) -> tuple[float, ...]:
    priors = [0.0] * num_classes
    for key, share in shares.items():
        name = str(key)
        if not (name.isascii() and name.isdigit() and int(name) < num_classes):
            raise FormatError(f"priors {where}: {name!r} is no class; there are 0 to {num_classes - 1}")
        if not share >= 0:
            raise FormatError(f"priors {where}: that of class {name} is {share:g}")
        priors[int(name)] += share
    if not abs(sum(priors) - 1) <= SUM_TOLERANCE:
        raise FormatError(f"priors {where}: they sum to {sum(priors):.6g}, not to 1")
    return tuple(priors)


def prior_weights(labels: NDArray[np.int64], priors: Sequence[float]) -> Array:
    """How much each row counts, 1 on average. FormatError where a class has a prior and no rows."""
    counts = np.bincount(labels, minlength=len(priors))
    missing = np.flatnonzero((counts == 0) & (np.asarray(priors) > 0))
    if len(missing):
        shown = ", ".join(str(number) for number in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise FormatError(f"labels hold no rows of {len(missing)} classes with a prior ({shown})")
    return np.asarray((np.asarray(priors) * len(labels) / np.maximum(counts, 1))[labels])
