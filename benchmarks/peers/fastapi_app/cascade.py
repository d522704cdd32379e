"""The cascade as the application calls it, one row after the other; rows are batched inside."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peers.assignment import Assignment
from benchmarks.peers.batch_cascade import BatchCascade, Prediction
from benchmarks.peers.fastapi_app.batcher import Batcher
from benchmarks.peers.fastapi_app.setting import FastapiSetting
from benchmarks.peers.gating import combined, forwarded, softmax
from benchmarks.peers.session import Logits, Session, rows_of


class Cascade(Protocol):
    async def predict(self, body: bytes) -> Prediction: ...

    def stop(self) -> None: ...


def opened(assignment: Assignment, executor: Executor) -> Cascade:
    """From inside the event loop that will call it."""
    setting = FastapiSetting(**assignment.setting)

    def batched(run: Callable[[list[bytes]], Sequence[Any]]) -> Batcher[Any]:
        return Batcher(
            run,
            executor,
            in_flight=setting.in_flight,
            max_batch=setting.max_batch,
            wait_s=setting.wait_s,
        )

    if setting.variant == "whole":
        return OneQueue(batched(BatchCascade(assignment, setting.threads).run))
    first, second = (batched(_member(file, setting.threads)) for file in assignment.members)
    return QueueEach(first, second, assignment.threshold)


def _member(file: str, threads: int) -> Callable[[list[bytes]], list[Logits]]:
    session = Session(Path(file), threads)
    return lambda bodies: list(session.run(rows_of(bodies)))


class OneQueue:
    def __init__(self, queue: Batcher[Prediction]) -> None:
        self._queue = queue

    async def predict(self, body: bytes) -> Prediction:
        return await self._queue.submit(body)

    def stop(self) -> None:
        self._queue.stop()


class QueueEach:
    """A row is gated by itself, between the members' queues."""

    def __init__(self, first: Batcher[Logits], second: Batcher[Logits], threshold: float) -> None:
        self._first = first
        self._second = second
        self._threshold = threshold

    async def predict(self, body: bytes) -> Prediction:
        probabilities = softmax((await self._first.submit(body))[None])
        exit_stage = 1
        if len(forwarded(probabilities, self._threshold)) > 0:
            probabilities = combined(probabilities, softmax((await self._second.submit(body))[None]))
            exit_stage = 2
        return Prediction(int(probabilities.argmax()), exit_stage)

    def stop(self) -> None:
        self._first.stop()
        self._second.stop()
