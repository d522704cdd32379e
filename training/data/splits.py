"""Splits of a data set: how rows are divided, what a split holds, and its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.corruption import Images
from training.errors import DatasetError

RowNumbers = NDArray[np.int64]

FORMAT_VERSION = 1
FRACTIONS = {"train": 0.5, "validation": 0.1, "calibration": 0.2, "test": 0.2}


@dataclass(frozen=True, kw_only=True)
class Split:
    """images: uint8 (N, H, W, C). labels: int64 (N,), or None out of distribution.

    groups: int64 (N,), the source image a row is a copy of, or the part of a photograph it is cut from; rows
    of one group are correlated.
    """

    images: Images
    labels: NDArray[np.int64] | None
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def head(self, num_rows: int | None) -> "Split":
        labels = None if self.labels is None else self.labels[:num_rows]
        return Split(images=self.images[:num_rows], labels=labels, groups=self.groups[:num_rows])


def divide(
    labels: NDArray[np.int64], classes: tuple[str, ...], fractions: dict[str, float], seed: int
) -> dict[str, RowNumbers]:
    """Row numbers of each split, disjoint, with every class shared out in the given fractions.

    Raises DatasetError where a class has too few images to be in every split.
    """
    generator = np.random.default_rng(seed)
    parts: dict[str, list[RowNumbers]] = {name: [] for name in fractions}
    for label, class_name in enumerate(classes):
        rows = generator.permutation(np.flatnonzero(labels == label))
        for name, part in zip(fractions, np.split(rows, _cuts(len(rows), fractions)), strict=True):
            if len(part) == 0:
                raise DatasetError(f"class {class_name!r} has {len(rows)} images, too few for a {name} split")
            parts[name].append(part)
    return {name: np.sort(np.concatenate(rows)) for name, rows in parts.items()}


def write_split(path: Path, split: Split) -> None:
    """The rows as they go over the wire: the input by its wire name, labels where there are any."""
    arrays: dict[str, Any] = {
        "image": split.images,
        "groups": split.groups,
        "format_version": np.int64(FORMAT_VERSION),
    }
    if split.labels is not None:
        arrays["labels"] = split.labels
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _cuts(num_rows: int, fractions: dict[str, float]) -> list[int]:
    shares = np.cumsum(list(fractions.values()))[:-1]
    return [round(float(share) * num_rows) for share in shares]
