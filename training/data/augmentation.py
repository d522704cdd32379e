"""Random shifts, crops and mirror images of training rows, made for a whole batch at once.

In two steps, so that whoever holds a part of a batch can make just that part: `draw` makes the random
numbers of all rows, `apply` is a pure function of images and numbers. What becomes of a row depends on its
own numbers alone, bit for bit: whichever `rows` are taken,

    apply(images[rows], draws.of(rows)) == apply(images, draws)[rows]
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from training.data.config import AUGMENTATIONS

# A shift goes up to this part of the shorter side: 4 pixels of 32, as is usual for CIFAR.
SHIFT_PER_SIDE = 1 / 8
# A crop's share of the image's area, and how much wider than high it becomes, both relative to the image.
CROP_AREA = (0.35, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random numbers of a batch, an entry per row; None for what the augmentation doesn't do.

    offsets: int64 (N, 2), pixels from the image's top and left to those of the window that is kept.
    boxes: float32 (N, 4), top, left, height and width of the crop in fractions of the image's sides.
    is_mirrored: bool (N,).
    """

    offsets: Tensor | None = None
    boxes: Tensor | None = None
    is_mirrored: Tensor | None = None

    def of(self, rows: slice | Tensor) -> "Draws":
        """The draws of some rows of the batch."""
        return Draws(**{name: numbers[rows] for name, numbers in self._drawn().items()})

    def to(self, device: torch.device) -> "Draws":
        return Draws(**{name: numbers.to(device) for name, numbers in self._drawn().items()})

    def _drawn(self) -> dict[str, Tensor]:
        numbers = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in numbers.items() if tensor is not None}


def augment(name: str, images: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 (N, H, W, C), each row augmented for itself."""
    N, H, W, _ = images.shape
    return apply(images, draw(name, N, H, W, generator))


def draw(name: str, num_rows: int, height: int, width: int, generator: torch.Generator) -> Draws:
    """The draws of `num_rows` images of height x width pixels, for one of AUGMENTATIONS."""
    recipe = AUGMENTATIONS[name]
    return Draws(
        offsets=_draw_offsets(num_rows, reach(height, width), generator) if recipe.is_shifted else None,
        boxes=_draw_boxes(num_rows, generator) if recipe.is_cropped else None,
        is_mirrored=_uniform(num_rows, generator) < 0.5 if recipe.is_mirrored else None,
    )


def apply(images: Tensor, draws: Draws) -> Tensor:
    """uint8 (N, H, W, C) as drawn, on the images' device. What a shift uncovers is black."""
    draws = draws.to(images.device)
    if draws.offsets is not None:
        images = _shift(images, draws.offsets)
    if draws.boxes is not None:
        images = _crop(images, draws.boxes)
    if draws.is_mirrored is not None:
        images = torch.where(draws.is_mirrored[:, None, None, None], images.flip(2), images)
    return images


def reach(height: int, width: int) -> int:
    """The furthest shift in pixels: an eighth of the shorter side, and at least 1."""
    return max(1, int(min(height, width) * SHIFT_PER_SIDE))


def _draw_offsets(num_rows: int, furthest: int, generator: torch.Generator) -> Tensor:
    """Rows first, then columns."""
    return torch.stack(
        [
            torch.randint(-furthest, furthest + 1, (num_rows,), generator=generator, device=generator.device)
            for _ in range(2)
        ],
        dim=1,
    )


def _draw_boxes(num_rows: int, generator: torch.Generator) -> Tensor:
    """Area uniform; aspect log-uniform among those with which so large a crop still fits into the image."""
    area = _between(*CROP_AREA, _uniform(num_rows, generator))
    narrowest, widest = area.clamp(min=CROP_ASPECT[0]), (1 / area).clamp(max=CROP_ASPECT[1])
    aspect = torch.exp(_between(narrowest.log(), widest.log(), _uniform(num_rows, generator)))
    # Rounding must not let a crop of the whole image stand out of it.
    height, width = (area / aspect).sqrt().clamp(max=1), (area * aspect).sqrt().clamp(max=1)
    top = (1 - height) * _uniform(num_rows, generator)
    left = (1 - width) * _uniform(num_rows, generator)
    return torch.stack([top, left, height, width], dim=1)


def _shift(images: Tensor, offsets: Tensor) -> Tensor:
    N, H, W, C = images.shape
    border = reach(H, W)
    padded = pad(images, (0, 0, border, border, border, border)).flatten(2)
    # A view of every window that there is, as (N, top, left, H, W * C): taking one a row copies whole lines
    # of pixels, which is four times as fast as taking pixels.
    windows = padded.unfold(1, H, 1).unfold(2, W * C, C)
    tops, lefts = (border + offsets).unbind(1)
    return windows[torch.arange(N, device=images.device), tops, lefts].reshape(N, H, W, C)


def _crop(images: Tensor, boxes: Tensor) -> Tensor:
    """Each box enlarged to the whole image, bilinear; the outermost pixels go on at the edges."""
    N, H, W, _ = images.shape
    rows, columns = _sampled(boxes[:, 0], boxes[:, 2], H), _sampled(boxes[:, 1], boxes[:, 3], W)
    grid = torch.stack(
        [columns[:, None, :].expand(N, H, W), rows[:, :, None].expand(N, H, W)],
        dim=3,
    )
    pixels = images.permute(0, 3, 1, 2).float()
    cropped = grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cropped.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _sampled(starts: Tensor, lengths: Tensor, size: int) -> Tensor:
    """(N, size): where a span's `size` pixel centres lie along a side that goes from -1 to 1."""
    centres = (torch.arange(size, device=starts.device) + 0.5) / size
    return (starts[:, None] + lengths[:, None] * centres) * 2 - 1


def _uniform(num_rows: int, generator: torch.Generator) -> Tensor:
    return torch.rand((num_rows,), generator=generator, device=generator.device)


def _between(lowest: Tensor | float, highest: Tensor | float, places: Tensor) -> Tensor:
    return lowest + (highest - lowest) * places
