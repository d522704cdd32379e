"""STL-10 by torchvision: its labelled images, 96x96 pixels."""

from typing import Any

import numpy as np
from torchvision.datasets import STL10

from training.data.config import DatasetConfig
from training.data.official import Part, make_sources, reading
from training.data.sources import Sources

CONTENTS = "stl10_binary/ with train_X.bin, train_y.bin, test_X.bin, test_y.bin and class_names.txt"


class Labelled(STL10):  # type: ignore[misc]
    """Without the unlabelled images, whose 2.6 GB would have to be there and be checked at every reading."""

    train_list = STL10.train_list[:2]


def load_stl10(config: DatasetConfig) -> Sources:
    """Raises DatasetError where the files aren't there, whole."""
    with reading(config, "STL-10", CONTENTS):
        train, test = (
            Labelled(config.data_root, split=split, download=config.download) for split in ("train", "test")
        )
        # Left out in silence where its file isn't there.
        if not hasattr(train, "classes"):
            raise FileNotFoundError("there is no class_names.txt")
    return make_sources(_part(train), _part(test), tuple(train.classes), config.split_seed)


def _part(official: Any) -> Part:
    """Channels come first in STL-10's images."""
    return Part(images=official.data.transpose(0, 2, 3, 1), labels=official.labels.astype(np.int64))
