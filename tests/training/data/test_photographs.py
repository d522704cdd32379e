import numpy as np
import pytest
from sklearn.utils import Bunch

from training.data import photographs as module
from training.data.photographs import cut_patches


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 24, 3)])
def test_patches_use_the_full_range_and_are_not_flat(shape):
    patches, _ = cut_patches(shape, 50, np.random.default_rng(0))
    assert patches.shape == (50, *shape)
    assert patches.dtype == np.uint8
    assert (patches.min(axis=(1, 2, 3)) == 0).all()
    assert (patches.max(axis=(1, 2, 3)) == 255).all()
    assert (patches.std(axis=(1, 2, 3)) > 20).all()


def test_patches_differ_and_are_seeded():
    first, same, other = (cut_patches((8, 8, 1), 20, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert len(np.unique(first, axis=0)) == 20
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_patch_as_large_as_a_photograph_still_fits():
    patches, _ = cut_patches((500, 700, 3), 1, np.random.default_rng(0))
    assert patches.shape == (1, 500, 700, 3)


def test_a_group_is_a_photograph_and_a_tile(monkeypatch):
    """Two photographs of 2x2 tiles, whose pixel values tell where in which a patch comes from."""
    place = np.arange(128) // 64 * 60
    tiles = (place[:, None] // 2 + place[None, :]).astype(np.uint8)
    photographs = [np.stack([tiles + first] * 3, axis=2) for first in (0, 120)]
    monkeypatch.setattr(module, "load_sample_images", lambda: Bunch(images=photographs))
    monkeypatch.setattr(module, "FLAT", -1.0)
    monkeypatch.setattr(module, "LARGEST_ZOOM", 1)
    monkeypatch.setattr(module, "_stretch", lambda pixels: pixels.astype(np.uint8))
    patches, groups = cut_patches((3, 3, 1), 400, np.random.default_rng(0))
    centres = patches[:, 1, 1, 0]
    known = np.isin(centres, [0, 30, 60, 90, 120, 150, 180, 210])
    assert known.sum() > 350
    pairs = {(int(centre), int(group)) for centre, group in zip(centres[known], groups[known], strict=True)}
    assert len(pairs) == len({group for _, group in pairs}) == len({centre for centre, _ in pairs}) == 8
