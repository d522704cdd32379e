"""Data sets that come with a test set of their own: that is the test split, the rest is divided."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException

import numpy as np
from numpy.typing import NDArray

from training.data.config import DatasetConfig
from training.data.corruption import Images
from training.data.sources import Sources
from training.data.splits import divide
from training.errors import DatasetError

FRACTIONS_OF_TRAIN = {"train": 0.8, "validation": 0.1, "calibration": 0.1}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the two official sets. images: uint8 (N, H, W, C), in any memory order; labels: int64 (N,)."""

    images: Images
    labels: NDArray[np.int64]


def make_sources(train: Part, test: Part, classes: tuple[str, ...], split_seed: int) -> Sources:
    rows = divide(train.labels, classes, FRACTIONS_OF_TRAIN, split_seed)
    num_train = len(train.labels)
    rows["test"] = np.arange(num_train, num_train + len(test.labels))
    return Sources(
        images=_join(train.images, test.images),
        labels=np.concatenate([train.labels, test.labels]),
        classes=classes,
        rows=rows,
        num_divided=num_train,
    )


@contextmanager
def reading(config: DatasetConfig, title: str, contents: str) -> Iterator[None]:
    """torchvision's errors as DatasetErrors that tell what the data root should hold."""
    try:
        with warnings.catch_warnings():
            # CIFAR's files were written by an old NumPy; a new one remarks on it.
            warnings.simplefilter("ignore")
            yield
    except (RuntimeError, OSError, HTTPException) as error:
        if config.download:
            raise DatasetError(f"{title} could not be downloaded to {config.data_root}: {error}") from error
        raise DatasetError(
            f"no intact {title} in {config.data_root}: it should hold {contents}; --download fetches it"
        ) from error


def _join(first: Images, second: Images) -> Images:
    """Laid out as (N, H, W, C). By itself NumPy would keep the files' order, where channels come first."""
    joined = np.empty((len(first) + len(second), *first.shape[1:]), dtype=np.uint8)
    return np.concatenate([first, second], out=joined)
