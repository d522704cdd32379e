"""Out-of-distribution rows: patches of the two photographs bundled with scikit-learn.

They are real images of nothing that the data sets here know, so they are far from the distribution. Against
CIFAR-10 or a folder of photographs they are an easy case and say little about near outliers. However many
patches are cut, they come from two photographs and overlap: they are far fewer independent rows than rows.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from training.data.corruption import Images

# A patch as large as this many times its final shorter side still shows structure once made small.
LARGEST_ZOOM = 12
# A patch whose pixel values spread less than this (standard deviation, of 255) is sky or shadow.
FLAT = 20.0
# Patches whose centres lie in one square of this many pixels of one photograph form a group.
TILE = 64

Box = tuple[float, float, float, float]


def cut_patches(
    shape: tuple[int, ...], num_patches: int, generator: np.random.Generator
) -> tuple[Images, NDArray[np.int64]]:
    """Patches of random place and size, as uint8 (num_patches, H, W, C) with `shape` (H, W, C), and groups.

    Grey for one channel; each patch's contrast is stretched to the full range, flat ones are dropped. A group
    is a photograph and the tile that the patch's centre lies in.
    """
    height, width, channels = shape
    mode = "L" if channels == 1 else "RGB"
    photographs = [Image.fromarray(pixels).convert(mode) for pixels in load_sample_images().images]
    patches: list[NDArray[np.uint8]] = []
    tiles: list[tuple[int, int, int]] = []
    while len(patches) < num_patches:
        number = int(generator.integers(len(photographs)))
        box = _draw_box(photographs[number], height, width, generator)
        patch = photographs[number].resize((width, height), Image.Resampling.BOX, box=box)
        pixels = np.asarray(patch, dtype=np.float32)
        if pixels.std() >= FLAT:
            patches.append(_stretch(pixels).reshape(height, width, channels))
            tiles.append((number, *_tile(box)))
    _, groups = np.unique(tiles, axis=0, return_inverse=True)
    return np.stack(patches), groups.astype(np.int64)


def _draw_box(photograph: Image.Image, height: int, width: int, generator: np.random.Generator) -> Box:
    largest = min(LARGEST_ZOOM, photograph.width / width, photograph.height / height)
    zoom = generator.uniform(min(1.0, largest), largest)
    left = generator.uniform(0, photograph.width - zoom * width)
    top = generator.uniform(0, photograph.height - zoom * height)
    return left, top, left + zoom * width, top + zoom * height


def _tile(box: Box) -> tuple[int, int]:
    """Row and column of the tile that a box's centre lies in."""
    left, top, right, bottom = box
    return int((top + bottom) / 2) // TILE, int((left + right) / 2) // TILE


def _stretch(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    lowest, highest = pixels.min(), pixels.max()
    return np.asarray(np.rint((pixels - lowest) * (255 / (highest - lowest))), dtype=np.uint8)
