"""CIFAR-10 and CIFAR-100 (the 100 fine classes) by torchvision."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100

from training.data.config import DatasetConfig
from training.data.official import Part, make_sources, reading
from training.data.sources import Sources


@dataclass(frozen=True, kw_only=True)
class Cifar:
    title: str
    reader: type[Any]
    contents: str


CIFARS = {
    "cifar10": Cifar(
        title="CIFAR-10",
        reader=CIFAR10,
        contents="cifar-10-batches-py/ with data_batch_1 to data_batch_5, test_batch and batches.meta",
    ),
    "cifar100": Cifar(
        title="CIFAR-100", reader=CIFAR100, contents="cifar-100-python/ with train, test and meta"
    ),
}


def load_cifar(config: DatasetConfig) -> Sources:
    """Raises DatasetError where the files aren't there, whole."""
    cifar = CIFARS[config.name]
    with reading(config, cifar.title, cifar.contents):
        train, test = (
            cifar.reader(config.data_root, train=is_train, download=config.download)
            for is_train in (True, False)
        )
    return make_sources(_part(train), _part(test), tuple(train.classes), config.split_seed)


def _part(official: Any) -> Part:
    return Part(images=official.data, labels=np.array(official.targets, dtype=np.int64))
