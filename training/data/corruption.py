"""The difficulty dial: blur, occlusion and noise, from none (0) to heavy (1).

Each row draws its own severity, uniform between 0 and the difficulty, so that easy and hard rows stand side
by side. At severity s, with `side` the shorter side of the image:

    blur        Gaussian, sigma = 0.12 s * side pixels, edges reflected onto themselves by renormalising
    occlusion   one square of 0.5 s * side pixels (rounded), anywhere inside, of one random grey
    noise       Gaussian, sigma = 0.5 s of the full pixel range, independent per value

in this order. The random draws don't depend on the difficulty: with the same generator state a higher
difficulty is the same corruption, only stronger.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]

BLUR_PER_SIDE = 0.12
OCCLUSION_PER_SIDE = 0.5
NOISE_OF_RANGE = 0.5
# Rows worked on at a time, which bounds memory. Part of the recipe: the draws come chunk by chunk.
CHUNK_ROWS = 4096


def corrupt(images: Images, difficulty: float, generator: np.random.Generator) -> Images:
    """Corrupted copies of uint8 images (N, H, W, C), each at its own severity; at difficulty 0 `images`."""
    if difficulty == 0:
        # Every step is an identity, and takes long on large images.
        return images
    chunks = [_corrupt_chunk(chunk, difficulty, generator) for chunk in _chunks(images)]
    return np.concatenate(chunks) if chunks else images.copy()


def draw_severities(num_rows: int, difficulty: float, generator: np.random.Generator) -> Floats:
    return difficulty * generator.random(num_rows, dtype=np.float32)


def blur(pixels: Floats, sigmas: Floats) -> Floats:
    """Each row of (N, H, W, C) blurred along both axes by its own sigma (in pixels)."""
    _, H, W, _ = pixels.shape
    down, across = _blur_matrices(H, sigmas), _blur_matrices(W, sigmas)
    return np.asarray(np.einsum("nij,njkc,nlk->nilc", down, pixels, across, optimize=True))


def occlude(pixels: Floats, sides: NDArray[np.int64], generator: np.random.Generator) -> Floats:
    """Each row with a square of its own side (in pixels) painted over at a random place."""
    N, (H, W) = len(pixels), pixels.shape[1:3]
    rows = _spans(H, sides, generator.random(N))
    columns = _spans(W, sides, generator.random(N))
    greys = generator.random(N, dtype=np.float32) * 255
    covered = (rows[:, :, None] & columns[:, None, :])[..., None]
    return np.where(covered, greys[:, None, None, None], pixels)


def add_noise(pixels: Floats, sigmas: Floats, generator: np.random.Generator) -> Floats:
    """Each row plus Gaussian noise of its own sigma (in pixel values)."""
    noise = generator.standard_normal(pixels.shape, dtype=np.float32)
    return pixels + sigmas[:, None, None, None] * noise


def _corrupt_chunk(images: Images, difficulty: float, generator: np.random.Generator) -> Images:
    severities = draw_severities(len(images), difficulty, generator)
    side = min(images.shape[1:3])
    pixels = blur(images.astype(np.float32), BLUR_PER_SIDE * side * severities)
    squares = np.rint(OCCLUSION_PER_SIDE * side * severities).astype(np.int64)
    pixels = occlude(pixels, squares, generator)
    pixels = add_noise(pixels, NOISE_OF_RANGE * 255 * severities, generator)
    return np.asarray(np.rint(pixels.clip(0, 255)), dtype=np.uint8)


def _chunks(images: Images) -> Iterator[Images]:
    for start in range(0, len(images), CHUNK_ROWS):
        yield images[start : start + CHUNK_ROWS]


def _blur_matrices(size: int, sigmas: Floats) -> Floats:
    """(N, size, size): row i holds the weights of all pixels in the blurred pixel i; they sum to one."""
    distance = np.subtract.outer(np.arange(size), np.arange(size)).astype(np.float32)
    # The floor keeps sigma 0 an exact identity: every neighbour's weight underflows to zero.
    widths = np.maximum(sigmas, 1e-2)[:, None, None]
    weights = np.exp(-0.5 * (distance / widths) ** 2)
    return np.asarray(weights / weights.sum(axis=2, keepdims=True), dtype=np.float32)


def _spans(size: int, lengths: NDArray[np.int64], places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, size): true on a span of the given length that starts at the given fraction of the free room."""
    starts = np.floor(places * (size - lengths + 1)).astype(np.int64)[:, None]
    grid = np.arange(size)[None, :]
    return (grid >= starts) & (grid < starts + lengths[:, None])
