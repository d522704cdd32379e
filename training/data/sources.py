"""What a data set's reader hands over: source images before corruption, and which split each is in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.corruption import Images
from training.data.labels import check_labels
from training.data.splits import RowNumbers
from training.errors import DatasetError


@dataclass(frozen=True, kw_only=True)
class Sources:
    """images: uint8 (N, H, W, C); labels: int64 (N,); rows: for each split the numbers of its images.

    num_divided: the first so many images are those that the train split is divided off, in the order that the
    data set gives them. skipped: "path: reason" for what could not be read.

    Raises DatasetError where images and labels aren't as many, or a label is none of the classes.
    """

    images: Images
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    rows: dict[str, RowNumbers]
    num_divided: int
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DatasetError(f"the data set has {len(self.images)} images but {len(self.labels)} labels")
        check_labels(self.labels, len(self.classes), "the data set")
