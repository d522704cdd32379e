"""What is noted of every epoch."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from training.atomic import replacing
from training.budget import Spent
from training.plan import Visit
from training.selection.table import Numbers


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One row of metrics.csv.

    updates, samples_forward, samples_backward and seconds (validation not included) count from the start of
    the training; learning_rate is that of the epoch's last update; train_loss and train_accuracy are means
    over the epoch's updates, each before it was made. rows_visited counts distinct rows of this epoch;
    visits_min and visits_max the visits of a row since the start. selection_overlap is the Jaccard overlap of
    the rows of a round with those of the round before, averaged over the epoch's rounds; empty where there is
    only the first.
    """

    epoch: int
    updates: int
    samples_forward: int
    samples_backward: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    validation_accuracy: float
    validation_nll: float
    seconds: float
    rows_visited: int
    visits_min: int
    visits_max: int
    selection_overlap: float | None

    @property
    def rank(self) -> tuple[float, float]:
        """Higher is better: the more accurate, then the lower NLL."""
        return self.validation_accuracy, -self.validation_nll


@dataclass(kw_only=True)
class Tally:
    """Sums over the updates of an epoch so far."""

    num_updates: int = 0
    loss: float = 0.0
    accuracy: float = 0.0
    learning_rate: float = math.nan
    overlaps: dict[int, float] = field(default_factory=dict)
    visits_before: Numbers

    def add(self, visit: Visit, loss: float, accuracy: float, learning_rate: float) -> None:
        self.num_updates += 1
        self.loss += loss
        self.accuracy += accuracy
        self.learning_rate = learning_rate
        if visit.round_overlap is not None:
            self.overlaps[visit.round_number] = visit.round_overlap

    def close(self, epoch: int, spent: Spent, visits: Numbers, *, accuracy: float, nll: float) -> EpochRecord:
        return EpochRecord(
            epoch=epoch,
            updates=spent.updates,
            samples_forward=spent.samples_forward,
            samples_backward=spent.samples_backward,
            learning_rate=self.learning_rate,
            train_loss=self.loss / self.num_updates,
            train_accuracy=self.accuracy / self.num_updates,
            validation_accuracy=accuracy,
            validation_nll=nll,
            seconds=spent.seconds,
            rows_visited=int(np.count_nonzero(visits > self.visits_before)),
            visits_min=int(visits.min()),
            visits_max=int(visits.max()),
            selection_overlap=self.mean_overlap,
        )

    @property
    def mean_overlap(self) -> float | None:
        return sum(self.overlaps.values()) / len(self.overlaps) if self.overlaps else None

    def document(self) -> dict[str, Any]:
        """For JSON, which has no whole numbers as keys; `visits_before` is kept beside it."""
        return {
            "num_updates": self.num_updates,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "learning_rate": None if math.isnan(self.learning_rate) else self.learning_rate,
            "overlaps": [list(item) for item in self.overlaps.items()],
        }

    @classmethod
    def from_document(cls, document: dict[str, Any], visits_before: Numbers) -> "Tally":
        rate = document["learning_rate"]
        overlaps = {int(number): overlap for number, overlap in document["overlaps"]}
        known = document | {"learning_rate": math.nan if rate is None else rate, "overlaps": overlaps}
        return cls(**known, visits_before=visits_before)


def write_records(path: Path, records: Sequence[EpochRecord]) -> None:
    with replacing(path) as file:
        rows = [[column.name for column in fields(EpochRecord)]]
        rows += [["" if value is None else value for value in asdict(record).values()] for record in records]
        file.write(csv_text(rows))


def csv_text(rows: Iterable[Sequence[Any]]) -> bytes:
    return "".join(",".join(map(str, row)) + "\r\n" for row in rows).encode()
