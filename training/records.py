"""What is noted of every epoch, and its file."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from training.plan import Visit


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One row of metrics.csv.

    updates, samples_forward, samples_backward and seconds (validation included) count from the start of the
    training; learning_rate is that of the epoch's last update; the rest is of this epoch alone.
    batches_visited counts distinct batches. selection_overlap is the Jaccard overlap of a round with the one
    before, averaged over the epoch's rounds; empty where there is only the first.
    """

    epoch: int
    updates: int
    samples_forward: int
    samples_backward: int
    learning_rate: float
    train_loss: float
    validation_accuracy: float
    validation_nll: float
    seconds: float
    batches_visited: int
    selection_overlap: float | None

    @property
    def rank(self) -> tuple[float, float]:
        """Higher is better: the more accurate, then the lower NLL."""
        return self.validation_accuracy, -self.validation_nll


@dataclass(kw_only=True)
class Tally:
    """Sums over the batches of one epoch."""

    losses: list[float] = field(default_factory=list)
    learning_rate: float = math.nan
    batches: set[int] = field(default_factory=set)
    overlaps: dict[int, float | None] = field(default_factory=dict)

    def add(self, visit: Visit, loss: float, learning_rate: float) -> None:
        self.losses.append(loss)
        self.learning_rate = learning_rate
        self.batches.add(visit.batch)
        self.overlaps[visit.round_number] = visit.round_overlap

    def close(
        self, epoch: int, batch_size: int, *, accuracy: float, nll: float, seconds: float
    ) -> EpochRecord:
        updates = epoch * len(self.losses)
        return EpochRecord(
            epoch=epoch,
            updates=updates,
            # Both rules train every row that they run forward.
            samples_forward=updates * batch_size,
            samples_backward=updates * batch_size,
            learning_rate=self.learning_rate,
            train_loss=sum(self.losses) / len(self.losses),
            validation_accuracy=accuracy,
            validation_nll=nll,
            seconds=seconds,
            batches_visited=len(self.batches),
            selection_overlap=self.mean_overlap,
        )

    @property
    def mean_overlap(self) -> float | None:
        known = [overlap for overlap in self.overlaps.values() if overlap is not None]
        return sum(known) / len(known) if known else None


def write_records(path: Path, records: Sequence[EpochRecord]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=[column.name for column in fields(EpochRecord)])
        writer.writeheader()
        writer.writerows(asdict(record) for record in records)
