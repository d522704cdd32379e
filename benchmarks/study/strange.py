"""Out-of-distribution images for members of CIFAR-10: near (CIFAR-100's test set) and far.

digits     scikit-learn's handwritten digits, enlarged
noise      half uniform in each channel, half normal with the mean and spread of photographs
textures   gratings, checks and clouds in random colours, made here
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate
from torchvision.datasets import CIFAR100

Images = NDArray[np.uint8]
"""(N, 32, 32, 3)"""
Floats = NDArray[np.float64]

SIDE = 32
NEAR = "cifar100"
FAR = ("digits", "noise", "textures")
FAMILIES = (NEAR, *FAR)

OVERLAPPING = ("bus", "pickup_truck")
"""Classes of CIFAR-100 that show what CIFAR-10 calls automobile or truck."""
OCTAVES = (2, 4, 8, 16, 32)


class TestSet(CIFAR100):  # type: ignore[misc]
    """CIFAR-100's test set, whether or not the training set is there."""

    train_list: ClassVar[list[tuple[str, str]]] = []


def strange_images(root: Path, num_rows: int, seed: int = 0) -> Mapping[str, Images]:
    """Up to `num_rows` of each of `FAMILIES`; root holds cifar-100-python/."""
    makers: Mapping[str, Callable[[int, np.random.Generator], Images]] = {
        NEAR: lambda n, rng: _cifar100(root, n),
        "digits": _digits,
        "noise": _noise,
        "textures": _textures,
    }
    streams = np.random.SeedSequence(seed).spawn(len(makers))
    return {
        name: make(num_rows, np.random.default_rng(stream))
        for (name, make), stream in zip(makers.items(), streams, strict=True)
    }


def _cifar100(root: Path, num_rows: int) -> Images:
    data = TestSet(root, train=False)
    overlapping = [data.class_to_idx[name] for name in OVERLAPPING]
    rows = np.flatnonzero(~np.isin(data.targets, overlapping))[:num_rows]
    images: Images = data.data[rows]
    return images


def _digits(num_rows: int, rng: np.random.Generator) -> Images:
    small = torch.from_numpy(load_digits().images[:num_rows] / 16).unsqueeze(1)
    large = interpolate(small, size=(SIDE, SIDE), mode="bilinear").clamp(0, 1)
    return _pixels(np.repeat(large.permute(0, 2, 3, 1).numpy(), 3, axis=3))


def _noise(num_rows: int, rng: np.random.Generator) -> Images:
    shape = (SIDE, SIDE, 3)
    uniform = rng.random((num_rows // 2, *shape))
    normal = rng.normal(0.47, 0.25, (num_rows - num_rows // 2, *shape))
    return _pixels(np.concatenate([uniform, normal]))


def _textures(num_rows: int, rng: np.random.Generator) -> Images:
    kinds = (_grating, _checks, _cloud)
    return _pixels(np.stack([_coloured(kinds[row % len(kinds)](rng), rng) for row in range(num_rows)]))


def _grating(rng: np.random.Generator) -> Floats:
    phase = rng.uniform(0, 2 * np.pi)
    return 0.5 + 0.5 * np.sin(2 * np.pi * _along(rng) / rng.uniform(3, 16) + phase)


def _checks(rng: np.random.Generator) -> Floats:
    size = rng.uniform(2, 8)
    angle = rng.uniform(0, np.pi)
    parity = sum(np.floor(_along_angle(turned) / size) for turned in (angle, angle + np.pi / 2))
    return np.asarray(parity % 2, np.float64)


def _cloud(rng: np.random.Generator) -> Floats:
    """Noise of several octaves, the coarse ones strongest."""
    total = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.float64)
    for octave in OCTAVES:
        grid = torch.from_numpy(rng.random((1, 1, octave, octave)))
        total += interpolate(grid, size=(SIDE, SIDE), mode="bilinear") / octave
    cloud = total[0, 0].numpy()
    return np.asarray((cloud - cloud.min()) / (cloud.max() - cloud.min()))


def _along(rng: np.random.Generator) -> Floats:
    return _along_angle(rng.uniform(0, np.pi))


def _along_angle(angle: float) -> Floats:
    """How far each pixel lies in the direction of an angle, in pixels."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return np.asarray(np.cos(angle) * columns + np.sin(angle) * rows)


def _coloured(pattern: Floats, rng: np.random.Generator) -> Floats:
    """(32, 32) in 0..1 to (32, 32, 3) between two random colours."""
    low, high = rng.random((2, 3))
    return np.asarray(low + pattern[..., None] * (high - low))


def _pixels(images: Floats) -> Images:
    return np.asarray(np.round(np.clip(images, 0, 1) * 255), np.uint8)
