"""Streams of requests, which a client may leave open for ever, and a drain must not wait for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any


class Streams:
    """Knows which streams wait for their client's next message."""

    def __init__(self) -> None:
        self._is_draining = False
        self._idle: set[asyncio.Task[Any]] = set()

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    def end(self) -> None:
        """What waits ends now; what is being answered ends once it is."""
        self._is_draining = True
        for task in self._idle:
            task.cancel()

    async def until_drained(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The messages, read in the task that takes them: one for each would cost more than its answer."""
        task = asyncio.current_task()
        iterator = aiter(messages)
        while task is not None and not self._is_draining:
            self._idle.add(task)
            try:
                message = await anext(iterator)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if not self.is_draining:
                    raise
                task.uncancel()  # it was `end`, which ends the waiting and not the task
                return
            finally:
                self._idle.discard(task)
            yield message
