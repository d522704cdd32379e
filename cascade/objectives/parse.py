"""What a policy can be fitted for, as text.

`coverage@risk=R`   accept as many rows as keep the risk at R
`risk@coverage=C`   err as little as can be on the surest share C
`accuracy`          be right over all rows
`fpr@tpr=T`         reject out-of-distribution rows, accepting the share T of the others
`decision@class=K,threshold=T`   decide as the full ensemble does whether P(class K) is at least T, or, with
                    `,fp=A,fn=B`, at the lowest mean cost of false positives and false negatives

The first three take `,ood=S`: a share S of the traffic is out of distribution, and to accept it is an error.
"""

import math
from collections.abc import Callable, Sequence

from cascade.errors import FitError
from cascade.objectives.class_decision import ClassDecision
from cascade.objectives.detection import FprAtTpr
from cascade.objectives.objective import Objective
from cascade.objectives.selective import Accuracy, CoverageAtRisk, RiskAtCoverage

FORMS = (
    "coverage@risk=R, risk@coverage=C, accuracy (each also with ,ood=S), fpr@tpr=T, "
    "decision@class=K,threshold=T (also with ,fp=A,fn=B)"
)
_Options = dict[str, float]


def parse_objective(text: str) -> Objective:
    """An objective from its text; FitError says what is wrong."""
    first, *rest = text.split(",")
    name, has_value, value = first.partition("=")
    if name not in _PARSERS:
        raise FitError(f"unknown objective {text!r}; there are: {FORMS}")
    options = {key: _number(text, number) for key, _, number in (item.partition("=") for item in rest)}
    if name == "accuracy":
        if has_value:
            raise FitError("objective accuracy takes no value")
        return _PARSERS[name](text, math.nan, options)
    return _PARSERS[name](text, _number(text, value), options)


def _number(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise FitError(f"objective {text!r}: {value!r} is no number") from None


def _share(text: str, target: float) -> float:
    if not 0 < target < 1:
        raise FitError(f"objective {text!r}: the target must lie between 0 and 1")
    return target


def _only(text: str, options: _Options, known: Sequence[str]) -> _Options:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise FitError(f"objective {text!r}: {', '.join(unknown)} does not belong there")
    return options


def _ood(text: str, options: _Options) -> float:
    options = _only(text, options, ("ood",))
    return _share(text, options["ood"]) if options else 0.0


def _parse_decision(text: str, number: float, options: _Options) -> Objective:
    _only(text, options, ("threshold", "fp", "fn"))
    if number < 0 or not number.is_integer():
        raise FitError(f"objective {text!r}: {number:g} is no class number")
    if "threshold" not in options:
        raise FitError(f"objective {text!r}: the threshold is missing")
    if ("fp" in options) != ("fn" in options):
        raise FitError(f"objective {text!r}: fp and fn go together")
    costs = (options["fp"], options["fn"]) if "fp" in options else None
    if costs and not (all(0 <= cost < math.inf for cost in costs) and any(costs)):
        raise FitError(f"objective {text!r}: costs must be 0 or more, and one of them above 0")
    threshold = _share(text, options["threshold"])
    return ClassDecision(text=text, number=int(number), threshold=threshold, costs=costs)


_PARSERS: dict[str, Callable[[str, float, _Options], Objective]] = {
    "coverage@risk": lambda text, target, options: CoverageAtRisk(
        text=text, risk=_share(text, target), ood=_ood(text, options)
    ),
    "risk@coverage": lambda text, target, options: RiskAtCoverage(
        text=text, coverage=_share(text, target), ood=_ood(text, options)
    ),
    "accuracy": lambda text, _, options: Accuracy(text=text, ood=_ood(text, options)),
    "fpr@tpr": lambda text, target, options: FprAtTpr(
        text=text, tpr=_share(text, target) if not _only(text, options, ()) else target
    ),
    "decision@class": _parse_decision,
}
