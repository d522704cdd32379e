import numpy as np
import pytest

from training.data.sources import Sources
from training.errors import DatasetError


def make_sources(labels):
    return Sources(
        images=np.zeros((3, 2, 2, 1), np.uint8),
        labels=np.array(labels),
        classes=("a", "b"),
        rows={"train": np.arange(3)},
        num_divided=3,
    )


def test_labels_are_classes():
    assert make_sources([0, 1, 1]).labels.tolist() == [0, 1, 1]
    with pytest.raises(DatasetError, match="the data set has label 255 at position 1: labels must be 0 to 1"):
        make_sources([0, 255, 1])


def test_every_image_has_a_label():
    with pytest.raises(DatasetError, match="the data set has 3 images but 2 labels"):
        make_sources([0, 1])
