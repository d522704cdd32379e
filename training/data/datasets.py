"""Data sets: which rows each split holds, as they go over the wire, after the difficulty dial."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.cifar import load_cifar10
from training.data.config import DatasetConfig
from training.data.corruption import Images, corrupt
from training.data.digits import load_digits
from training.data.folder import load_folder
from training.data.photographs import cut_patches
from training.data.sources import Sources
from training.data.splits import Split

NUM_PATCHES = 2000


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Four splits that share no source image, and rows that belong to no class."""

    classes: tuple[str, ...]
    train: Split
    validation: Split
    calibration: Split
    test: Split
    ood: Split

    @property
    def splits(self) -> dict[str, Split]:
        names = ("train", "validation", "calibration", "test", "ood")
        return {name: getattr(self, name) for name in names}


LOADERS: dict[str, Callable[[DatasetConfig], Sources]] = {
    "digits": load_digits,
    "cifar10": load_cifar10,
    "folder": load_folder,
}


def load_dataset(config: DatasetConfig) -> Dataset:
    """Loads sources, corrupts copies of them split by split, and cuts out-of-distribution patches."""
    sources = LOADERS[config.name](config)
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
    return Dataset(classes=sources.classes, ood=ood, **splits)


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
