"""How far each member is: a bar on a terminal, elsewhere a plain line for each tenth of the way."""

import sys
from types import TracebackType

from tqdm import tqdm

from training.budget import Budget, Spent
from training.records import EpochRecord

LINES = 10


class Progress:
    """One member's line. `position` keeps the bars of members trained side by side apart."""

    def __init__(self, name: str, *, position: int, budget: Budget) -> None:
        self._name = name
        self._budget = budget
        self._tenths = 0
        self._is_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=budget.amount,
            desc=name,
            position=position,
            unit=f" {budget.unit}",
            file=sys.stderr,
            disable=not self._is_terminal,
            dynamic_ncols=True,
            bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f}{unit} [{elapsed}<{remaining}{postfix}]",
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def update(self, spent: Spent) -> None:
        self._bar.update(self._budget.used(spent) - self._bar.n)

    def epoch(self, record: EpochRecord, spent: Spent) -> None:
        self._bar.set_postfix_str(f"validation {record.validation_accuracy:.1%}")
        tenths = int(min(self._budget.progress(spent), 1) * LINES)
        if not self._is_terminal and tenths > self._tenths:
            print(
                f"{self._name}: epoch {record.epoch}, {tenths * LINES}%, loss {record.train_loss:.3f}, "
                f"validation {record.validation_accuracy:.1%}, {record.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        self._tenths = tenths
