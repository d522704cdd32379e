"""Ctrl-C and SIGTERM as a wish that is looked at between two updates."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopWish:
    """Whether somebody asked for an end. A second Ctrl-C ends at once, as a KeyboardInterrupt.

    SIGTERM may come any number of times: a scheduler sends it to all processes, and so does their parent. Who
    has no patience then sends SIGKILL.
    """

    def __init__(self) -> None:
        self.signals: set[int] = set()

    @property
    def is_made(self) -> bool:
        return bool(self.signals)

    def make(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in self.signals:
            raise KeyboardInterrupt
        self.signals.add(number)


@contextmanager
def heeding() -> Iterator[StopWish]:
    """Signals make the wish as long as this lasts; only a process's main thread can be told so.

    A wish that came too late for the block to heed it is a KeyboardInterrupt when it ends.
    """
    wish = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.signal(number, wish.make) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    # Not by the handlers put back: a job that a shell has put into the background begins with Ctrl-C ignored.
    if wish.is_made:
        raise KeyboardInterrupt
