"""What one training of a comparison came to, and its JSON."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, get_type_hints

from training.checks import at_least, within
from training.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A selection rule under comparison. `labels` names the set of training labels, "" the data set's own;
    arms are compared only where these are the same."""

    selection: str
    delta: float
    labels: str = ""

    def __post_init__(self) -> None:
        if not self.selection:
            raise ConfigError("selection must have a name")
        if not 0 < self.delta <= 1:
            raise ConfigError(f"delta must be in (0, 1], got {self.delta}")
        if self.selection == "none" and self.delta != 1:
            raise ConfigError(f"delta {self.delta} has no meaning with selection none")

    @property
    def name(self) -> str:
        return self.selection if self.selection == "none" else f"{self.selection} {self.delta:.12g}"

    def to_row(self) -> dict[str, Any]:
        return {"arm": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One evaluation on the way. updates, samples and seconds count from the start of the training."""

    updates: int
    samples_forward: int
    samples_backward: int
    seconds: float
    train_loss: float
    validation_accuracy: float
    validation_nll: float

    def __post_init__(self) -> None:
        _check_counts(self, ("updates", "samples_forward", "samples_backward"))
        _check_finite(self, ("seconds", "train_loss", "validation_nll"))
        within("validation_accuracy", self.validation_accuracy, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One arm at one seed.

    mean_overlap: the overlap (Jaccard) of consecutive selections; None where there was only one.
    visits_min, visits_max: of all rows, how often the least and the most visited one was trained.
    share_never_again: share of the rows not visited after the first pass; None where the budget ended there.
    """

    arm: Arm
    seed: int
    curve: tuple[CurvePoint, ...]
    test_accuracy: float
    test_nll: float
    updates: int
    samples_forward: int
    samples_backward: int
    seconds: float
    mean_overlap: float | None
    visits_min: int
    visits_max: int
    share_never_again: float | None

    def __post_init__(self) -> None:
        if not self.curve:
            raise ConfigError(f"curve of {self.arm.name}, seed {self.seed}, has no point")
        for before, after in pairwise(self.curve):
            at_least("updates of the curve's next point", after.updates, before.updates + 1)
        _check_counts(self, ("seed", "updates", "samples_forward", "samples_backward", "visits_min"))
        at_least("visits_max", self.visits_max, self.visits_min)
        _check_finite(self, ("test_nll", "seconds"))
        within("test_accuracy", self.test_accuracy, 0, 1)
        for name in ("mean_overlap", "share_never_again"):
            if getattr(self, name) is not None:
                within(name, getattr(self, name), 0, 1)

    @property
    def final_validation_accuracy(self) -> float:
        return self.curve[-1].validation_accuracy

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "curve": [asdict(point) for point in self.curve]}

    def to_row(self) -> dict[str, Any]:
        """Flat, with the end of the curve for all of it."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("arm", "curve")}
        return {**self.arm.to_row(), **plain, "validation_accuracy": self.final_validation_accuracy}

    def curve_rows(self) -> list[dict[str, Any]]:
        return [{**self.arm.to_row(), "seed": self.seed, **asdict(point)} for point in self.curve]

    @classmethod
    def from_json(cls, value: object, where: str = "result") -> "Result":
        """The inverse of `to_json`. Raises ConfigError on any key or value that does not belong there."""
        taken = _take(cls, value, where)
        if not isinstance(taken["curve"], list):
            raise ConfigError(f"{where}: curve must be a list")
        arm = Arm(**_take(Arm, taken["arm"], f"{where}: arm"))
        points = enumerate(taken["curve"])
        curve = tuple(CurvePoint(**_take(CurvePoint, point, f"{where}: curve[{n}]")) for n, point in points)
        return cls(**{**taken, "arm": arm, "curve": curve})


def by_arm(results: Iterable[Result]) -> dict[Arm, tuple[Result, ...]]:
    """In the order in which sets of labels, and within them arms, first appear."""
    found: dict[str, dict[Arm, list[Result]]] = {}
    for result in results:
        found.setdefault(result.arm.labels, {}).setdefault(result.arm, []).append(result)
    return {arm: tuple(of_arm) for arms in found.values() for arm, of_arm in arms.items()}


def _take(kind: type, value: object, where: str) -> dict[str, Any]:
    """The fields of `kind` out of a JSON object, plain ones checked for their type."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected an object, got {value!r}")
    names = {field.name for field in fields(kind)}
    if wrong := sorted(map(str, names ^ value.keys())):
        raise ConfigError(f"{where}: missing or unknown: {', '.join(wrong)}")
    hints = get_type_hints(kind)
    return {name: _of_type(value[name], hints[name], f"{where}: {name}") for name in names}


def _of_type(value: Any, hint: Any, where: str) -> Any:
    """`value` as its field holds it. A whole number may stand for a float; true and false are no numbers."""
    accepted = {int: int, str: str, float: int | float, float | None: int | float | None}.get(hint)
    if accepted is None:
        return value
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ConfigError(f"{where} can't be {value!r}")
    return float(value) if isinstance(value, int) and hint is not int else value


def _check_counts(of: object, names: Iterable[str]) -> None:
    for name in names:
        at_least(name, getattr(of, name), 0)


def _check_finite(of: object, names: Iterable[str]) -> None:
    for name in names:
        if not math.isfinite(getattr(of, name)):
            raise ConfigError(f"{name} must be a finite number, got {getattr(of, name)}")
