"""How far each member is: a bar on a terminal, elsewhere a plain line for each tenth of the way."""

import sys
from types import TracebackType

from tqdm import tqdm

from training.plan import Visit
from training.records import EpochRecord

LINES = 10


class Progress:
    """One member's line. `position` keeps the bars of members trained side by side apart."""

    def __init__(self, name: str, *, position: int, num_epochs: int, num_updates: int) -> None:
        self._name = name
        self._num_epochs = num_epochs
        self._is_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=num_updates,
            desc=name,
            position=position,
            unit="update",
            file=sys.stderr,
            disable=not self._is_terminal,
            dynamic_ncols=True,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def update(self, visit: Visit) -> None:
        self._bar.update()

    def epoch(self, record: EpochRecord) -> None:
        self._bar.set_postfix_str(f"validation {record.validation_accuracy:.1%}")
        tenth, before = (epoch * LINES // self._num_epochs for epoch in (record.epoch, record.epoch - 1))
        if not self._is_terminal and tenth > before:
            print(
                f"{self._name}: epoch {record.epoch}/{self._num_epochs}, loss {record.train_loss:.3f}, "
                f"validation {record.validation_accuracy:.1%}, {record.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
