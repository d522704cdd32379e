"""Out-of-distribution rows: patches of the two photographs bundled with scikit-learn.

They are real images of nothing that the data sets here know, so they are far from the distribution. Against
CIFAR-10 or a folder of photographs they are an easy case and say little about near outliers.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from training.corruption import Images

# A patch as large as this many times its final shorter side still shows structure once made small.
LARGEST_ZOOM = 12
# A patch whose pixel values spread less than this (standard deviation, of 255) is sky or shadow.
FLAT = 20.0


def cut_patches(shape: tuple[int, ...], num_patches: int, generator: np.random.Generator) -> Images:
    """Patches of random place and size, as uint8 (num_patches, H, W, C) with `shape` (H, W, C).

    Grey for one channel; each patch's contrast is stretched to the full range, flat ones are dropped.
    """
    height, width, channels = shape
    mode = "L" if channels == 1 else "RGB"
    photographs = [Image.fromarray(pixels).convert(mode) for pixels in load_sample_images().images]
    patches: list[NDArray[np.uint8]] = []
    while len(patches) < num_patches:
        photograph = photographs[generator.integers(len(photographs))]
        pixels = np.asarray(_cut(photograph, height, width, generator), dtype=np.float32)
        if pixels.std() >= FLAT:
            patches.append(_stretch(pixels).reshape(height, width, channels))
    return np.stack(patches)


def _cut(photograph: Image.Image, height: int, width: int, generator: np.random.Generator) -> Image.Image:
    largest = min(LARGEST_ZOOM, photograph.width / width, photograph.height / height)
    zoom = generator.uniform(min(1.0, largest), largest)
    left = generator.uniform(0, photograph.width - zoom * width)
    top = generator.uniform(0, photograph.height - zoom * height)
    box = (left, top, left + zoom * width, top + zoom * height)
    return photograph.resize((width, height), Image.Resampling.BOX, box=box)


def _stretch(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    lowest, highest = pixels.min(), pixels.max()
    return np.asarray(np.rint((pixels - lowest) * (255 / (highest - lowest))), dtype=np.uint8)
