"""What every server serves and is sent: two members, 20% of the rows forwarded, and what is to come out."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.assignment import Assignment
from benchmarks.peers.gating import Array, combined, forwarded, softmax
from benchmarks.peers.session import Session
from benchmarks.peers.wire import Predictions
from benchmarks.repositories import REAL_IMAGE, real_repository
from cascade.cascade_file import Cascade, read_cascade

MODEL = "real"
POLICY = "window"
NETWORKS = ("resnet10t", "resnet26t")
FORWARDED = 0.2
NUM_IMAGES = 1024
NUM_CHECKED = 256
BOUNDARY = 1e-5
"""Of a score: two versions of ONNX Runtime, or two sizes of a batch, may disagree on a row this near."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """`expected` of the first NUM_CHECKED images; `is_certain` where no rounding decides. `folder` is for
    what a server needs to write."""

    folder: Path
    repository: Path
    cascade: Cascade
    images: NDArray[np.uint8]
    expected: Predictions
    is_certain: NDArray[np.bool_]

    @property
    def threshold(self) -> float:
        return self.cascade.policies[POLICY].thresholds[0]

    def assignment(self, port: int, setting: dict[str, Any]) -> Assignment:
        first, second = _files(self.repository, self.cascade)
        return Assignment(members=(first, second), threshold=self.threshold, port=port, setting=setting)

    def check(self, served: Predictions, server: str) -> None:
        """Label and exit stage of every checked row, but for those whose score lies at the threshold."""
        for what in ("labels", "exit_stages"):
            theirs, expected = getattr(served, what), getattr(self.expected, what)
            wrong = np.flatnonzero((theirs != expected) & self.is_certain)
            assert len(wrong) == 0, f"{server}: {what} differ in rows {wrong[:10]}"

    def facts(self) -> dict[str, Any]:
        return {
            "rows_checked": int(self.is_certain.sum()),
            "at_the_threshold": int((~self.is_certain).sum()),
            "labels": np.unique(self.expected.labels).tolist(),
            "forwarded_of_checked": round(float((self.expected.exit_stages == 2).mean()), 3),
        }


@contextmanager
def workload() -> Iterator[Workload]:
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *REAL_IMAGE), np.uint8)
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        repository = Path(name) / "repository"
        real_repository(repository, NETWORKS, images, FORWARDED, is_spread=True)
        cascade = read_cascade(repository / f"{MODEL}.cascade.json")
        first, second = (
            softmax(Session(Path(file), 1).run(images[:NUM_CHECKED])) for file in _files(repository, cascade)
        )
        threshold = cascade.policies[POLICY].thresholds[0]
        yield Workload(
            folder=Path(name),
            repository=repository,
            cascade=cascade,
            images=images,
            expected=_expected(first, second, threshold),
            is_certain=np.abs(first.max(axis=1) - threshold) > BOUNDARY,
        )


def _files(repository: Path, cascade: Cascade) -> list[str]:
    return [str(repository / member.file) for member in cascade.members]


def _expected(first: Array, second: Array, threshold: float) -> Predictions:
    """Without a server: both members on all rows, then the gate."""
    inside = forwarded(first, threshold)
    probabilities = first.copy()
    probabilities[inside] = combined(first[inside], second[inside])
    exit_stages = np.ones(len(first), np.int64)
    exit_stages[inside] = 2
    return Predictions(probabilities.argmax(axis=1), exit_stages)
