"""The breakers of all members, and the batches that are late."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from serving.config import BreakerConfig
from serving.jobs import Batch
from serving.members import EMBEDDED, Member
from serving.scheduling.breaker import Breaker, State

log = logging.getLogger("exitgate")


@dataclass(frozen=True, slots=True)
class _Running:
    """A batch; at `long_s` it has taken much longer than expected, when the timer runs out it is late."""

    timer: asyncio.TimerHandle
    began_s: float
    long_s: float


class Breakers:
    """`started` and `ended` tell of each batch; `opened` is called with a member once it is left out.

    A batch that is late counts as failed when it is late, not when it ends: from a member that hangs nothing
    comes back.
    """

    def __init__(self, config: BreakerConfig, opened: Callable[[Member], None]) -> None:
        self._config = config
        self._opened = opened
        self._of: WeakKeyDictionary[Member, Breaker] = WeakKeyDictionary()
        self._running: dict[Batch, _Running] = {}
        self._counted_s: WeakKeyDictionary[Member, float] = WeakKeyDictionary()

    def states(self) -> Mapping[str, Breaker]:
        """By the member's key."""
        return {member.key: breaker for member, breaker in self._of.items()}

    def admits(self, member: Member, now_s: float) -> bool:
        return self._breaker(member).admits(now_s)

    def started(self, batch: Batch) -> None:
        """It is given up, by a member that can, when it has taken so long that it was late twice."""
        is_here = batch.member.pool == EMBEDDED
        slow_s = self._config.slow_s if is_here else self._config.slow_call_s
        long_s = self._config.slow_factor * batch.member.curve.seconds(batch.num_rows)
        now_s, late_s = time.monotonic(), max(slow_s, long_s)
        batch.give_up_s = now_s + 2 * late_s
        timer = asyncio.get_running_loop().call_later(late_s, self._is_late, batch)
        self._running[batch] = _Running(timer, now_s, now_s + long_s)

    def ended(self, batch: Batch, *, is_failure: bool) -> None:
        running = self._running.pop(batch, None)
        if running is None:
            return  # it was late, and has been counted
        running.timer.cancel()
        if not is_failure:
            self._succeeded(batch.member)
        elif not self._was_short(batch, running):
            self._failed(batch.member)

    def _was_short(self, batch: Batch, running: _Running) -> bool:
        """It ended because nobody waited any more, and had hardly had the time: not the member's fault. Of
        those that had some, one counts for each stretch of time: together they tell of one hiccup."""
        now_s = time.monotonic()
        if now_s < batch.last_call_s:
            return False
        if now_s < running.long_s or running.began_s < self._counted_s.get(batch.member, -math.inf):
            return True
        self._counted_s[batch.member] = batch.last_call_s
        return False

    def _is_late(self, batch: Batch) -> None:
        del self._running[batch]
        self._failed(batch.member)

    def _failed(self, member: Member) -> None:
        if self._breaker(member).failed(time.monotonic()):
            log.error("member %s is left out: it fails or is too slow", member.key)
            self._opened(member)

    def _succeeded(self, member: Member) -> None:
        breaker = self._breaker(member)
        was_closed = breaker.state is State.CLOSED
        breaker.succeeded(time.monotonic())
        if not was_closed and breaker.state is State.CLOSED:
            log.info("member %s takes part again", member.key)

    def _breaker(self, member: Member) -> Breaker:
        breaker = self._of.get(member)
        if breaker is None:
            breaker = self._of[member] = Breaker(self._config)
        return breaker
