"""One image file, decoded."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from training.data.corruption import Images
from training.errors import DatasetError

# What Pillow's decoders let out when they meet broken files.
DECODING_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    RuntimeError,
    ArithmeticError,
    LookupError,
    EOFError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)


def read_image(path: Path, image_size: tuple[int, int]) -> Images:
    """uint8 (H, W, 3), upright, brought to `image_size` (H, W). Raises DatasetError with the reason alone."""
    height, width = image_size
    try:
        with Image.open(path) as image:
            upright = _in_8_bits(ImageOps.exif_transpose(image)).convert("RGB")
            return np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR))
    except DECODING_ERRORS as error:
        raise DatasetError(_reason(error)) from error


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Pillow would clip 16-bit grey to white instead of scaling it."""
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    # The text of an error of the file system repeats the path.
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
