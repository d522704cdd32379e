"""Both members in one process, on a batch of rows at once."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.peers.assignment import Assignment
from benchmarks.peers.gating import combined, forwarded, softmax
from benchmarks.peers.session import Session, rows_of


class Prediction(NamedTuple):
    label: int
    exit_stage: int


class BatchCascade:
    def __init__(self, assignment: Assignment, threads: int) -> None:
        self._first, self._second = (Session(Path(file), threads) for file in assignment.members)
        self._threshold = assignment.threshold

    def run(self, bodies: list[bytes]) -> list[Prediction]:
        """The second member on what the first forwards."""
        rows = rows_of(bodies)
        probabilities = softmax(self._first.run(rows))
        exit_stage = np.ones(len(rows), np.int32)
        inside = forwarded(probabilities, self._threshold)
        if len(inside) > 0:
            second = softmax(self._second.run(rows[inside]))
            probabilities[inside] = combined(probabilities[inside], second)
            exit_stage[inside] = 2
        labels = probabilities.argmax(axis=1)
        return [Prediction(*pair) for pair in zip(labels.tolist(), exit_stage.tolist(), strict=True)]
