"""Threads that run batches, as many as were ever needed at once."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable

from serving.jobs import Batch
from serving.running import Ran

JOIN_S = 1.0


class Workers:
    """`put` a batch; `run` gets it on a thread, and `done` what came of it, back on the event loop."""

    def __init__(self, run: Callable[[Batch], Ran], done: Callable[[Ran], None]) -> None:
        self._run = run
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._num_busy = 0

    def put(self, batch: Batch) -> None:
        self._num_busy += 1
        if self._num_busy > len(self._threads):
            thread = threading.Thread(target=self._work, name=f"worker-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._batches.put(batch)

    def _work(self) -> None:
        """A thread's life. One hand-over to the loop a batch."""
        while (batch := self._batches.get()) is not None:
            ran = self._run(batch)
            try:
                self._loop.call_soon_threadsafe(self._finished, ran)
            except RuntimeError:  # the loop is closed: nobody waits for this batch any more
                return
            del batch, ran  # an idle thread would hold on to a member that is served no more

    def _finished(self, ran: Ran) -> None:
        self._num_busy -= 1
        self._done(ran)

    def stop(self) -> None:
        """End the threads. One that hangs in its member is left behind; it is a daemon's."""
        for _ in self._threads:
            self._batches.put(None)
        until_s = time.monotonic() + JOIN_S
        for thread in self._threads:
            thread.join(timeout=max(0.0, until_s - time.monotonic()))
