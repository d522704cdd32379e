"""How rows are selected, checked where it is said."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.checks import at_least, one_of
from training.errors import ConfigError
from training.selection.registry import BATCH, ROW, SELECTIONS, UNITS

USUAL_DELTA = 0.5


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """A selection and its options; `usual` gives each selection its own.

    delta: the share of batches (or rows) in a round; what it is to the others, see their rules.
    unit: what is chosen, whole batches or single rows.
    reshuffle_every: rounds after which rows are dealt to batches anew; 0: never.
    full_every: every so many rounds all rows are trained, the first round among them; 0: as the rule says.
    finish: the last share of the budget, in which all rows are trained.
    keep_order: batches are cut in the order of the data set, without the permutation before.
    """

    name: str = "none"
    delta: float = 1.0
    unit: str = BATCH
    reshuffle_every: int = 1
    full_every: int = 0
    finish: float = 0.0
    keep_order: bool = False

    @classmethod
    def usual(cls, name: str, **given: Any) -> "SelectionConfig":
        """The selection with what is usual for it wherever nothing else is given."""
        one_of("selection", name, SELECTIONS)
        selection = SELECTIONS[name]
        usual: Mapping[str, Any] = {
            "delta": 1.0 if name == "none" else USUAL_DELTA,
            "unit": selection.unit,
            "reshuffle_every": selection.reshuffle_every,
            "finish": selection.finish,
        }
        return cls(name=name, **{**usual, **given})

    def __post_init__(self) -> None:
        one_of("selection", self.name, SELECTIONS)
        one_of("unit", self.unit, UNITS)
        at_least("reshuffle_every", self.reshuffle_every, 0)
        at_least("full_every", self.full_every, 0)
        if not 0 < self.delta <= 1:
            raise ConfigError(f"delta must be in (0, 1], got {self.delta}")
        if not 0 <= self.finish < 1:
            raise ConfigError(f"finish must be in [0, 1), got {self.finish}")
        self._check_meaning()

    @property
    def needs_earlier(self) -> bool:
        return SELECTIONS[self.name].needs_earlier

    def _check_meaning(self) -> None:
        selection = SELECTIONS[self.name]
        if self.name == "none":
            self._refuse(delta=self.delta != 1, full_every=self.full_every > 0, finish=self.finish > 0)
        if selection.unit == ROW or self.name == "none":
            self._refuse(unit=self.unit != selection.unit)
        if self.unit == ROW:
            unit = f"unit {ROW} of selection {self.name}"
            self._refuse(unit, reshuffle_every=self.reshuffle_every > 0, keep_order=self.keep_order)
        if not selection.is_by_round:
            self._refuse(full_every=self.full_every > 0)

    def _refuse(self, beside: str = "", /, **is_set: bool) -> None:
        for field, is_given in is_set.items():
            if is_given:
                value = getattr(self, field)
                raise ConfigError(f"{field} {value} has no meaning with {beside or f'selection {self.name}'}")
