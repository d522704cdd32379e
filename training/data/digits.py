"""scikit-learn's bundled handwritten digits: 1,797 real images of 8x8 pixels, no download."""

import numpy as np
from sklearn.datasets import load_digits as load_bundled_digits

from training.data.config import DatasetConfig
from training.data.sources import Sources
from training.data.splits import FRACTIONS, divide


def load_digits(config: DatasetConfig) -> Sources:
    bundled = load_bundled_digits()
    images = np.rint(bundled.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bundled.target.astype(np.int64)
    classes = tuple(str(name) for name in bundled.target_names)
    return Sources(
        images=images,
        labels=labels,
        classes=classes,
        rows=divide(labels, classes, FRACTIONS, config.split_seed),
        num_divided=len(labels),
    )
