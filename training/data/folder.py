"""A folder of images: one folder per class, whose name is the class."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from training.data.config import DatasetConfig
from training.data.corruption import Images
from training.data.sources import Sources
from training.data.splits import FRACTIONS, divide
from training.errors import DatasetError


def load_folder(config: DatasetConfig) -> Sources:
    """Every file of every class, resized to (H, W), RGB. Hidden files and folders are left out."""
    if config.data_root is None or config.image_size is None:
        raise DatasetError("a folder data set needs a data root and an image size")
    files = {folder.name: _visible(folder) for folder in _visible(config.data_root) if folder.is_dir()}
    if len(files) < 2:
        raise DatasetError(f"{config.data_root} holds {len(files)} class folders, at least 2 are needed")
    classes = tuple(files)
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in files.values()])
    rows = divide(labels, classes, FRACTIONS, config.split_seed)
    images = np.stack([_read(path, config.image_size) for paths in files.values() for path in paths])
    return Sources(images=images, labels=labels, classes=classes, rows=rows)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _read(path: Path, image_size: tuple[int, int]) -> Images:
    height, width = image_size
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise DatasetError(f"{path} can't be read as an image: {error}") from error
