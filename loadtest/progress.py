"""How far the load test is: a bar on a terminal, elsewhere one line for each phase."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

# Drawing steals time from the generator.
REDRAW_S = 0.5


class Progress:
    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()

    @contextmanager
    def phase(self, name: str, total: int | None, unit: str) -> Iterator[Callable[[int], object]]:
        """Yields what takes the number of units done since the last call."""
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
            yield bar.update
        if not self._is_terminal:
            size = "" if total is None else f": {total} {unit}s"
            print(f"{name}{size} in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
