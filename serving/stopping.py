"""Signals that ask a server to stop, heard also while it starts."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
Result = TypeVar("Result")


def stop_event() -> asyncio.Event:
    """Set by SIGTERM and SIGINT, from now on."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What `work` gives; None, and it is cancelled, if `stop` comes first. A thread that it waits for goes
    on: whoever started something there ends it."""
    task, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    either: set[asyncio.Task[Any]] = {task, stopped}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None
