"""Calls back on time, from a thread of its own.

Timers of an event loop are good to a millisecond, which is the very lag that a run may not exceed; a
thread's sleep is good to about a tenth of that.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# So that a stop is noticed in time when arrivals are far apart.
LONGEST_NAP_S = 0.1


class Pacer:
    """Hands over `(begin, end)`, the range of arrivals that have come due."""

    def __init__(self, intended_s: NDArray[np.float64], hand_over: Callable[[int, int], object]) -> None:
        self._intended_s: list[float] = intended_s.tolist()
        self._hand_over = hand_over
        self._is_stopped = False

    def stop(self) -> None:
        self._is_stopped = True

    def run(self, start: float) -> None:
        """Until the last arrival or `stop`. `start` is the time of arrival 0.0 on `time.perf_counter`."""
        begin, intended_s = 0, self._intended_s
        while begin < len(intended_s) and not self._is_stopped:
            now = time.perf_counter() - start
            wait = intended_s[begin] - now
            if wait > 0:
                time.sleep(min(wait, LONGEST_NAP_S))
                continue
            end = begin + 1
            while end < len(intended_s) and intended_s[end] <= now:
                end += 1
            self._hand_over(begin, end)
            begin = end
