"""Data sets: which rows each split holds, as they go over the wire, after the difficulty dial."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.cifar import load_cifar
from training.data.config import DatasetConfig
from training.data.corruption import Images, corrupt
from training.data.digits import load_digits
from training.data.folder import load_folder
from training.data.labels import read_labels
from training.data.photographs import cut_patches
from training.data.sources import Sources
from training.data.splits import Split
from training.data.stl10 import load_stl10

NUM_PATCHES = 2000


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Four splits that share no source image, and rows that belong to no class.

    skipped: "path: reason" for each file that could not be read.
    """

    classes: tuple[str, ...]
    train: Split
    validation: Split
    calibration: Split
    test: Split
    ood: Split
    skipped: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the images and labels that a training sees: the train and validation splits."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation):
            for array in (split.images, split.labels):
                if array is not None:
                    digest.update(f"{array.shape} {array.dtype.str} ".encode())
                    digest.update(_buffer(array))
        return digest.hexdigest()

    @property
    def splits(self) -> dict[str, Split]:
        names = ("train", "validation", "calibration", "test", "ood")
        return {name: getattr(self, name) for name in names}


LOADERS: dict[str, Callable[[DatasetConfig], Sources]] = {
    "digits": load_digits,
    "cifar10": load_cifar,
    "cifar100": load_cifar,
    "stl10": load_stl10,
    "folder": load_folder,
}


def load_dataset(config: DatasetConfig) -> Dataset:
    """Loads sources, corrupts copies of them split by split, and cuts out-of-distribution patches."""
    sources = _relabel(LOADERS[config.name](config), config)
    generators = _generators((*sources.rows, "ood", "patches"), config.split_seed)
    splits = {
        name: _copies(sources.images, sources.labels, rows, config, generators[name])
        for name, rows in sources.rows.items()
    }
    patches, tiles = cut_patches(sources.images.shape[1:], NUM_PATCHES, generators["patches"])
    ood = Split(
        images=corrupt(patches, config.difficulty, generators["ood"]),
        labels=None,
        groups=tiles,
    )
    splits["train"] = splits["train"].head(config.max_train_rows)
    return Dataset(classes=sources.classes, ood=ood, skipped=sources.skipped, **splits)


def _relabel(sources: Sources, config: DatasetConfig) -> Sources:
    """The train split with the labels of `config.train_labels`; the other splits stay true."""
    if config.train_labels is None:
        return sources
    given = read_labels(
        config.train_labels,
        config.train_labels_key,
        num_rows=sources.num_divided,
        num_classes=len(sources.classes),
    )
    labels = sources.labels.copy()
    labels[sources.rows["train"]] = given[sources.rows["train"]]
    return replace(sources, labels=labels)


def _generators(names: tuple[str, ...], seed: int) -> dict[str, np.random.Generator]:
    """One stream each, so that a change to one part leaves the others as they were."""
    streams = np.random.SeedSequence(seed).spawn(len(names))
    return {name: np.random.default_rng(stream) for name, stream in zip(names, streams, strict=True)}


def _copies(
    images: Images,
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    config: DatasetConfig,
    generator: np.random.Generator,
) -> Split:
    """`config.copies` rows for each source image, each corrupted for itself, in random order."""
    groups = generator.permutation(np.repeat(rows, config.copies))
    return Split(
        images=corrupt(images[groups], config.difficulty, generator), labels=labels[groups], groups=groups
    )


def _buffer(array: NDArray[Any]) -> memoryview:
    """An array's bytes, not copied where they lie in order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
