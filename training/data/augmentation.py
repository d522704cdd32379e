"""Random crops and mirror images, drawn per row, made for a whole batch at once."""

import torch
from torch import Tensor

PADDING = 4


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each of uint8 (N, H, W, C) shifted by up to 4 pixels over a black border; half of them mirrored."""
    N, H, W, _ = images.shape
    padded = torch.nn.functional.pad(images, (0, 0, PADDING, PADDING, PADDING, PADDING))
    rows = _shifts(N, generator) + torch.arange(H)
    columns = _shifts(N, generator) + torch.arange(W)
    is_mirrored = torch.rand((N, 1), generator=generator) < 0.5
    columns = torch.where(is_mirrored, columns.flip(1), columns)
    return padded[torch.arange(N)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _shifts(num_rows: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2 * PADDING + 1, (num_rows, 1), generator=generator)
