"""Dynamic micro-batching: rows wait in an asyncio queue and are run together, off the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Generic, TypeAlias, TypeVar

Result = TypeVar("Result")
Waiting: TypeAlias = "tuple[bytes, asyncio.Future[Result]]"


class Batcher(Generic[Result]):
    """`run` gets the bodies of a batch in a thread of `executor`, and returns as many results."""

    def __init__(
        self,
        run: Callable[[list[bytes]], Sequence[Result]],
        executor: Executor,
        *,
        in_flight: int,
        max_batch: int,
        wait_s: float,
    ) -> None:
        self._run = run
        self._executor = executor
        self._max_batch = max_batch
        self._wait_s = wait_s
        self._queue: asyncio.Queue[Waiting[Result]] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._serve()) for _ in range(in_flight)]

    async def submit(self, body: bytes) -> Result:
        settled: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((body, settled))
        return await settled

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._batch()
            bodies = [body for body, _ in batch]
            try:
                results = await loop.run_in_executor(self._executor, self._run, bodies)
            except Exception as error:
                for _, settled in batch:
                    if not settled.done():
                        settled.set_exception(error)
                continue
            for (_, settled), result in zip(batch, results, strict=True):
                if not settled.done():  # its client may have gone
                    settled.set_result(result)

    async def _batch(self) -> "list[Waiting[Result]]":
        """The first row, what is there beside it, and what comes within `wait_s`."""
        batch = [await self._queue.get()]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s):
                while len(batch) < self._max_batch:
                    batch.append(await self._queue.get())
        return batch
