"""Which trace a request is part of: what its caller says (W3C Trace Context), and what is drawn here."""

import random
import re
from dataclasses import dataclass

TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
SAMPLED = 1


@dataclass(frozen=True, slots=True)
class Parent:
    """The caller's span."""

    trace_id: int
    span_id: int
    is_sampled: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """A request that is traced, since `started_s` on the monotonic clock. `span_id` is its own span's,
    `parent_id` its caller's, where there is one."""

    trace_id: int
    span_id: int
    parent_id: int | None
    started_s: float


def parent_of(traceparent: str) -> Parent | None:
    """None for what is no `traceparent`, as if there were none. Later versions may say more than this one."""
    found = TRACEPARENT.fullmatch(traceparent.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    parent = Parent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & SAMPLED))
    return parent if parent.trace_id and parent.span_id else None


class Sampler:
    """Draws a share of the requests whose caller has not decided."""

    def __init__(self, share: float, coin: random.Random) -> None:
        self._share = share
        self._coin = coin

    def trace(self, traceparent: str, now_s: float) -> Trace | None:
        """Of a request that is to be traced."""
        parent = parent_of(traceparent)
        if parent is None:
            is_drawn = self._coin.random() < self._share
            return Trace(self.new_id(128), self.new_id(64), None, now_s) if is_drawn else None
        if not parent.is_sampled:
            return None
        return Trace(parent.trace_id, self.new_id(64), parent.span_id, now_s)

    def new_id(self, num_bits: int) -> int:
        """Never 0, which means none."""
        return self._coin.getrandbits(num_bits) or 1
