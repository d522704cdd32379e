"""How far the load test is: a bar on a terminal, with what is seen of a load as it runs; elsewhere one line
for each phase."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from tqdm import tqdm

# Drawing steals time from the generator.
REDRAW_S = 0.5
# Of which the latencies on the bar are.
LATEST = 500


class Watch:
    """A load under way: `advance` by requests, `settled` with each answer or failure."""

    def __init__(self, bar: "tqdm[Any]") -> None:
        self._bar = bar
        self._latency_s: deque[float] = deque(maxlen=LATEST)
        self._num_failed = 0
        self._next_redraw = time.monotonic() + REDRAW_S

    def advance(self, number: int) -> None:
        self._bar.update(number)

    def settled(self, is_answered: bool, latency_s: float) -> None:
        self._bar.update(1)
        if is_answered:
            self._latency_s.append(latency_s)
        else:
            self._num_failed += 1
        if not self._bar.disable and time.monotonic() > self._next_redraw:
            self._next_redraw = time.monotonic() + REDRAW_S
            self._bar.set_postfix_str(self.words(), refresh=False)

    def words(self) -> str:
        if not self._latency_s:
            return f"{self._num_failed} failed"
        p50_ms, p99_ms = np.percentile(self._latency_s, (50, 99)) * 1e3
        return f"p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, {self._num_failed} failed"


class Progress:
    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()

    @contextmanager
    def phase(self, name: str, total: int | None, unit: str) -> Iterator[Callable[[int], object]]:
        """Yields what takes the number of units done since the last call."""
        with self._bar(name, total, unit) as bar:
            yield bar.update

    @contextmanager
    def load(self, name: str, total: int) -> Iterator[Watch]:
        with self._bar(name, total, "request") as bar:
            yield Watch(bar)

    @contextmanager
    def _bar(self, name: str, total: int | None, unit: str) -> Iterator["tqdm[Any]"]:
        started = time.monotonic()
        with tqdm(
            total=total,
            desc=name,
            unit=unit,
            file=sys.stderr,
            disable=not self._is_terminal,
            dynamic_ncols=True,
            mininterval=REDRAW_S,
        ) as bar:
            yield bar
        if not self._is_terminal:
            size = "" if total is None else f": {total} {unit}s"
            print(f"{name}{size} in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
