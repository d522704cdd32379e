"""The breakers of all members, and the batches that are late."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

from serving.config import BreakerConfig
from serving.jobs import Batch
from serving.members import EMBEDDED, Member
from serving.scheduling.breaker import Breaker, State

log = logging.getLogger("exitgate")


class Breakers:
    """`started` and `ended` tell of each batch; `opened` is called with a member once it is left out.

    A batch that is late counts as failed when it is late, not when it ends: from a member that hangs nothing
    comes back.
    """

    def __init__(self, config: BreakerConfig, opened: Callable[[Member], None]) -> None:
        self._config = config
        self._opened = opened
        self._of: WeakKeyDictionary[Member, Breaker] = WeakKeyDictionary()
        self._timers: dict[Batch, asyncio.TimerHandle] = {}

    def states(self) -> Mapping[str, Breaker]:
        """By the member's key."""
        return {member.key: breaker for member, breaker in self._of.items()}

    def admits(self, member: Member, now_s: float) -> bool:
        return self._breaker(member).admits(now_s)

    def started(self, batch: Batch) -> None:
        """It is given up, by a member that can, when it has taken so long that it was late twice."""
        is_here = batch.member.pool == EMBEDDED
        slow_s = self._config.slow_s if is_here else self._config.slow_call_s
        expected_s = batch.member.curve.seconds(batch.num_rows)
        late_s = max(slow_s, self._config.slow_factor * expected_s)
        batch.give_up_s = time.monotonic() + 2 * late_s
        self._timers[batch] = asyncio.get_running_loop().call_later(late_s, self._is_late, batch)

    def ended(self, batch: Batch, *, is_failure: bool) -> None:
        timer = self._timers.pop(batch, None)
        if timer is None:
            return  # it was late, and has been counted
        timer.cancel()
        if is_failure:
            self._failed(batch.member)
        else:
            self._succeeded(batch.member)

    def _is_late(self, batch: Batch) -> None:
        del self._timers[batch]
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
