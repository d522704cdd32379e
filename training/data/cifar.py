"""CIFAR-10 by torchvision. The official test set is the test split; the rest is divided."""

import warnings

import numpy as np
from torchvision.datasets import CIFAR10

from training.data.config import DatasetConfig
from training.data.sources import Sources
from training.data.splits import divide
from training.errors import DatasetError

FRACTIONS_OF_TRAIN = {"train": 0.8, "validation": 0.1, "calibration": 0.1}


def load_cifar10(config: DatasetConfig) -> Sources:
    official_train, official_test = (_read(config, train=train) for train in (True, False))
    labels = np.array(official_train.targets + official_test.targets, dtype=np.int64)
    num_train = len(official_train.targets)
    classes = tuple(official_train.classes)
    rows = divide(labels[:num_train], classes, FRACTIONS_OF_TRAIN, config.split_seed)
    rows["test"] = np.arange(num_train, len(labels))
    images = np.concatenate([official_train.data, official_test.data])
    return Sources(images=images, labels=labels, classes=classes, rows=rows)


def _read(config: DatasetConfig, *, train: bool) -> CIFAR10:
    try:
        with warnings.catch_warnings():
            # The files were written by an old NumPy; a new one remarks on it.
            warnings.simplefilter("ignore")
            return CIFAR10(config.data_root, train=train, download=config.download)
    except (RuntimeError, OSError) as error:
        if config.download:
            raise DatasetError(f"CIFAR-10 could not be downloaded to {config.data_root}: {error}") from error
        raise DatasetError(
            f"no intact CIFAR-10 in {config.data_root}: it should hold cifar-10-batches-py/ with "
            "data_batch_1 to data_batch_5, test_batch and batches.meta; --download fetches it"
        ) from error
