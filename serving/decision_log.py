"""The decision log: what was concluded of every row that was answered, kept as Parquet files.

The event loop hands over what a request came to, by reference. A thread makes columns of it every now and
then and writes a file when enough have come together, or the oldest have waited long enough. A file is
written at once, aside, and renamed: a Parquet file whose end is missing cannot be read, so that rows are as
safe in memory as in half a file. Where the disk takes no more, rows wait for it, and beyond what may wait
further ones are dropped and counted; no request ever waits.
"""

import logging
import math
import os
import queue
import secrets
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cascade.decision_log import SUFFIX, arrow
from cascade.errors import CascadeError
from serving.audits import Audit
from serving.decision_columns import Decided, as_batch
from serving.errors import StartupError
from serving.jobs import Job

log = logging.getLogger("exitgate")
PARTIAL = ".partial"
MAX_WAITING_BYTES = 128 * 2**20
GATHER_S = 0.1
RETRY_S = 5.0
JOIN_S = 10.0
GROUP_ROWS = 2**16
CATEGORIES = ["model", "cascade_version", "policy", "members", "label", "exit_stage", "exit_reason"]


class Pending:
    """Rows for the next file, as Arrow batches; it is due `max_age_s` after the first of them."""

    def __init__(self, max_rows: int, max_bytes: int, max_age_s: float) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._not_before_s = -math.inf
        self.clear()

    def clear(self) -> None:
        self.batches: list[Any] = []
        self.num_rows = 0
        self.num_bytes = 0
        self._due_s = math.inf

    def add(self, batch: Any, now_s: float) -> None:
        if not self.batches:
            self._due_s = now_s + self._max_age_s
        self.batches.append(batch)
        self.num_rows += batch.num_rows
        self.num_bytes += batch.nbytes

    def put_off(self, until_s: float) -> None:
        self._not_before_s = until_s

    def wait_s(self, now_s: float) -> float | None:
        """How long until a file is due, if nothing more comes; None where there is nothing to write."""
        if not self.batches:
            return None
        is_large = self.num_rows >= self._max_rows or self.num_bytes >= self._max_bytes
        return max(0.0, (now_s if is_large else self._due_s) - now_s, self._not_before_s - now_s)


class DecisionLog:
    """Phases: any number of `record`, on one thread, then `close`.

    A file has `max_rows` rows and a few more, or those of `max_age_s`. One that cannot be written is tried
    again every `retry_s`; meanwhile, `max_waiting_bytes` wait.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_rows: int = 2**19,
        max_age_s: float = 60.0,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        retry_s: float = RETRY_S,
    ) -> None:
        """StartupError where pyarrow is missing, or the folder cannot be had; its parent must be there."""
        _check(folder)
        self._folder = folder
        self._max_waiting_bytes = max_waiting_bytes
        self._retry_s = retry_s
        self._token = secrets.token_hex(4)
        self._pending = Pending(max_rows, max_waiting_bytes // 2, max_age_s)
        self._queue: queue.SimpleQueue[Decided | None] = queue.SimpleQueue()
        self._is_closing = threading.Event()
        # Counters are bumped by one thread each: the first three by `record`'s, the others by the writer's.
        self._num_unnamed = 0
        self._num_refused = 0
        self._taken_bytes = 0
        self._arrived_bytes = 0
        self._num_lost = 0
        self.num_written = 0
        self.num_files = 0
        self._is_failing = False
        self._writer = threading.Thread(target=self._work, name="decision-log", daemon=True)
        self._writer.start()

    @property
    def num_dropped(self) -> int:
        """Rows that are in no file and will not be."""
        return self._num_refused + self._num_lost

    @property
    def waiting_bytes(self) -> int:
        return self._taken_bytes - self._arrived_bytes + self._pending.num_bytes

    def record(self, job: Job, audit: Audit | None) -> None:
        """A request that has its answer; one without an id is given one. Never waits: what is too much is
        dropped."""
        decided = Decided(job, job.request_id or self._made_id(), time.time_ns() // 1000, audit)
        if self._is_closing.is_set() or self.waiting_bytes + decided.num_bytes > self._max_waiting_bytes:
            self._num_refused += job.num_rows
            return
        self._taken_bytes += decided.num_bytes
        self._queue.put(decided)

    def _made_id(self) -> str:
        self._num_unnamed += 1
        return f"exitgate-{self._token}-{self._num_unnamed}"

    def close(self) -> None:
        """Write what was recorded. A disk that hangs is not waited for longer than JOIN_S."""
        self._is_closing.set()
        self._queue.put(None)
        self._writer.join(JOIN_S)
        if self._writer.is_alive():
            log.error("decision log: its disk hangs; rows that wait for it are lost")

    def _work(self) -> None:
        """The writer's life."""
        while self._turn():
            pass
        if self._pending.batches:
            log.error("decision log: %d rows could not be written", self._pending.num_rows)
        self._num_lost += self._pending.num_rows
        self._pending.clear()

    def _turn(self) -> bool:
        """False once there will be no more. Afterwards nothing is held of the requests: not the members that
        ran them, which a reload may have replaced."""
        gathered = self._gathered(self._pending.wait_s(time.monotonic()))
        decided = [one for one in gathered if one is not None]
        if decided:
            self._convert(decided)
        is_open = len(decided) == len(gathered)
        if not is_open or self._pending.wait_s(time.monotonic()) == 0.0:
            self._write()
        return is_open

    def _gathered(self, wait_s: float | None) -> list[Decided | None]:
        """What has come in, after a moment in which more may; nothing where none comes in time. None in it is
        the end."""
        try:
            first = self._queue.get(timeout=wait_s)
        except queue.Empty:
            return []
        self._is_closing.wait(GATHER_S)
        return [first, *(self._queue.get() for _ in range(self._queue.qsize()))]

    def _convert(self, decided: Sequence[Decided]) -> None:
        num_rows = sum(len(one.label) for one in decided)
        try:
            self._pending.add(as_batch(decided), time.monotonic())
        except Exception:  # a bug: those that come later are to be written all the same
            log.exception("decision log: %d rows are lost", num_rows)
            self._num_lost += num_rows
        self._arrived_bytes += sum(one.num_bytes for one in decided)

    def _write(self) -> None:
        if not self._pending.batches:
            return
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"decisions-{stamp}-{self._token}-{self.num_files + 1:06}{SUFFIX}"
        try:
            write_file(self._folder / name, self._pending.batches)
        except (OSError, MemoryError) as error:
            self._failed(error)
            return
        except Exception:  # a bug: those that come later are to be written all the same
            log.exception("decision log: %d rows are lost", self._pending.num_rows)
            self._num_lost += self._pending.num_rows
            self._pending.clear()
            return
        self.num_files += 1
        self.num_written += self._pending.num_rows
        self._pending.clear()
        if self._is_failing:
            log.warning("decision log: it is written again; %d rows were dropped so far", self.num_dropped)
        self._is_failing = False

    def _failed(self, error: OSError | MemoryError) -> None:
        """Once is enough in the log."""
        self._pending.put_off(time.monotonic() + self._retry_s)
        if not self._is_failing:
            log.error("decision log: cannot be written, rows wait while there is room: %s", error)
        self._is_failing = True


def _check(folder: Path) -> None:
    try:
        arrow()
        folder.mkdir(exist_ok=True)
    except CascadeError as error:
        raise StartupError(str(error)) from None
    except OSError as error:
        raise StartupError(f"decision log {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StartupError(f"decision log {folder}: cannot be written to")


def write_file(path: Path, batches: Sequence[Any]) -> None:
    """Aside, synced, then renamed: under its own name a file is whole. OSError leaves nothing behind."""
    pa = arrow()
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("xb") as file:
            pa.parquet.write_table(
                table, file, row_group_size=GROUP_ROWS, compression="zstd", use_dictionary=CATEGORIES
            )
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
