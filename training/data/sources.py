"""What a data set's reader hands over: source images before corruption, and which split each is in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.corruption import Images
from training.data.splits import RowNumbers


@dataclass(frozen=True, kw_only=True)
class Sources:
    """images: uint8 (N, H, W, C); labels: int64 (N,); rows: for each split the numbers of its images."""

    images: Images
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    rows: dict[str, RowNumbers]
