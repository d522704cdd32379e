"""Which of a cascade's policies is served while it cannot keep up. Pure: time is passed in.

Gear 0 is the dearest. Down it goes where rows would wait too long, one gear at a time, so that the effect of
each can be seen. Up it goes after a while without, and only if the dearer gear has room for the load: in the
cheaper one there is always calm, and without that look it would go up into the same trouble again.
"""

import math

DOWN_AT = 0.5
UP_BELOW = 0.2
"""Pressure: the wait that a request must reckon with, as a share of the time that it allows."""

SETTLE_S = 0.1
CALM_S = 1.0
ROOM = 0.75
"""Of what the dearer gear can serve, the load that it may meet."""

MEMORY_S = 1.0
"""Over which arrivals are averaged, weighted by e^(-age / MEMORY_S)."""


class Gearbox:
    """`number` is the gear engaged; `arrived` is told of every request, taken or not."""

    def __init__(self, num_gears: int) -> None:
        self.number = 0
        self.num_gears = num_gears
        self._shifted_s = self._last_s = -math.inf
        self._calm_since_s = math.inf
        self._rows_per_s = 0.0

    def arrived(self, num_rows: int, pressure: float, dearer_rows_per_s: float, now_s: float) -> None:
        """Rows that meet such a pressure; the dearer gear could serve `dearer_rows_per_s`."""
        quiet_s, self._last_s = now_s - self._last_s, now_s
        self._rows_per_s = self._rows_per_s * math.exp(-quiet_s / MEMORY_S) + num_rows / MEMORY_S
        if pressure > UP_BELOW:
            self._calm_since_s = math.inf
            if pressure >= DOWN_AT:
                self.down(now_s)
            return
        self._calm_since_s = min(self._calm_since_s, now_s - min(quiet_s, CALM_S))
        has_room = self._rows_per_s <= ROOM * dearer_rows_per_s
        if self.number and has_room and now_s - self._calm_since_s >= CALM_S:
            self._shift(self.number - 1, now_s)

    def down(self, now_s: float) -> bool:
        """Whether there is a cheaper gear, and the last shift was long enough ago to be felt by now."""
        if self.number + 1 == self.num_gears or now_s - self._shifted_s < SETTLE_S:
            return False
        self._shift(self.number + 1, now_s)
        return True

    def _shift(self, number: int, now_s: float) -> None:
        self.number, self._shifted_s, self._calm_since_s = number, now_s, math.inf
