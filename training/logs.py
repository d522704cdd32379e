"""What a training writes while it goes on: a line an update, a line an epoch, and TensorBoard's events."""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
from torch.utils.tensorboard.summary import scalar

from training.loop import Update
from training.records import EpochRecord, csv_text, write_records

UPDATES = "updates.csv"
METRICS = "metrics.csv"
EVENTS = "tensorboard"

COLUMNS = (
    "update",
    "round",
    "loss",
    "accuracy",
    "learning_rate",
    "samples_forward",
    "samples_backward",
    "seconds",
)
POINTS_PER_EPOCH = 20
"""Updates written to TensorBoard, whose scalars cost more than a line of text."""


class Logs:
    """The files of one member's folder. Opened anew, they are cut to where the checkpoint left them.

    lengths: bytes of a file at the checkpoint; None begins anew.
    """

    def __init__(
        self, folder: Path, *, num_batches: int, start: int = 0, lengths: Mapping[str, int] | None = None
    ) -> None:
        self._folder = folder
        self._every = max(1, num_batches // POINTS_PER_EPOCH)
        path = folder / UPDATES
        self._updates = path.open("r+b" if lengths else "wb")
        if lengths:
            self._updates.truncate(lengths[UPDATES])
            self._updates.seek(0, os.SEEK_END)
        else:
            self._updates.write(csv_text([COLUMNS]))
        self._events = Events(folder / EVENTS, first_step=start + 1)

    def __enter__(self) -> "Logs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as both:
            both.callback(self._updates.close)
            both.callback(self._events.close)

    def update(self, update: Update) -> None:
        spent = update.spent
        figures = (f"{update.loss:.9g}", f"{update.accuracy:.6g}", f"{update.learning_rate:.9g}")
        counts = (spent.samples_forward, spent.samples_backward, f"{spent.seconds:.6f}")
        self._updates.write(csv_text([(spent.updates, update.visit.round_number, *figures, *counts)]))
        if spent.updates % self._every == 0:
            for name in ("loss", "accuracy", "learning_rate"):
                self._events.scalar(f"update/{name}", getattr(update, name), spent.updates)

    def epochs(self, records: list[EpochRecord]) -> None:
        write_records(self._folder / METRICS, records)
        last = records[-1]
        for name in ("train_loss", "train_accuracy", "validation_accuracy", "validation_nll", "rows_visited"):
            self._events.scalar(f"epoch/{name}", getattr(last, name), last.updates)
        if last.selection_overlap is not None:
            self._events.scalar("epoch/selection_overlap", last.selection_overlap, last.updates)

    def sync(self) -> dict[str, int]:
        """Everything said so far is on the disk; the lengths of the files that a checkpoint cuts back."""
        self._updates.flush()
        os.fsync(self._updates.fileno())
        self._events.flush()
        return {UPDATES: self._updates.tell()}


class Events:
    """A file of TensorBoard's, written at once: SummaryWriter's thread would fail unheard on a full disk.

    first_step: what earlier files of the folder hold of this step and later ones TensorBoard leaves out.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        folder.mkdir(exist_ok=True)
        self._file = (folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}").open("xb")
        self._records = RecordWriter(self._file)
        self._add(Event(file_version="brain.Event:2"))
        self._add(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def scalar(self, name: str, value: float, step: int) -> None:
        self._add(Event(step=step, summary=scalar(name, value)))  # type: ignore[no-untyped-call]

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
