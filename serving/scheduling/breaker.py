"""Leaves out a member that fails, so that its rows are answered without it at once. Pure: time is passed in.

closed ──failures──> open ──it is time to try──> half open ──it answered──> closed
                      ^                              │
                      └────────it failed again───────┘
"""

from collections import deque
from enum import Enum

from serving.config import BreakerConfig

WINDOW_S = 1.0
FEW = 10
"""Batches in the window from which on half of them decide."""


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


LEGAL = {
    State.CLOSED: {State.OPEN},
    State.OPEN: {State.HALF_OPEN},
    State.HALF_OPEN: {State.CLOSED, State.OPEN},
}


class Breaker:
    """`admits` is asked before rows are sent to the member; `succeeded` and `failed` tell of its batches."""

    def __init__(self, config: BreakerConfig) -> None:
        self._config = config
        self.state = State.CLOSED
        self.num_opened = 0
        self._in_a_row = 0
        self._recent: deque[tuple[float, bool]] = deque()
        self._num_failed = 0
        self._wait_s = config.retry_s
        self._retry_at_s = 0.0

    def admits(self, now_s: float) -> bool:
        """Whether rows may be sent. Where it is time to try again the asker's are what tries; if nothing is
        heard of them for as long again, those of another."""
        if self.state is State.CLOSED:
            return True
        if now_s < self._retry_at_s:
            return False
        if self.state is State.OPEN:
            self._move(State.HALF_OPEN)
        self._retry_at_s = now_s + self._wait_s
        return True

    def succeeded(self, now_s: float) -> None:
        self._in_a_row = 0
        self._remember(now_s, is_failure=False)
        if self.state is State.HALF_OPEN:
            self._move(State.CLOSED)
            self._wait_s = self._config.retry_s
            self._forget()

    def failed(self, now_s: float) -> bool:
        """Whether it has opened for that."""
        self._in_a_row += 1
        self._remember(now_s, is_failure=True)
        if self.state is State.HALF_OPEN:
            self._wait_s = min(2 * self._wait_s, self._config.max_retry_s)
        elif self.state is State.OPEN or not self._has_enough():
            return False
        self._move(State.OPEN)
        self.num_opened += 1
        self._retry_at_s = now_s + self._wait_s
        return True

    def _has_enough(self) -> bool:
        if self._in_a_row >= self._config.most_failures:
            return True
        return len(self._recent) >= FEW and 2 * self._num_failed >= len(self._recent)

    def _remember(self, now_s: float, *, is_failure: bool) -> None:
        self._recent.append((now_s, is_failure))
        self._num_failed += is_failure
        while self._recent[0][0] < now_s - WINDOW_S:
            self._num_failed -= self._recent.popleft()[1]

    def _forget(self) -> None:
        self._recent.clear()
        self._num_failed = self._in_a_row = 0

    def _move(self, to: State) -> None:
        if to not in LEGAL[self.state]:
            raise AssertionError(f"a breaker that is {self.state.value} cannot become {to.value}")
        self.state = to
