import numpy as np
import pytest

from training.photographs import cut_patches


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 24, 3)])
def test_patches_use_the_full_range_and_are_not_flat(shape):
    patches = cut_patches(shape, 50, np.random.default_rng(0))
    assert patches.shape == (50, *shape)
    assert patches.dtype == np.uint8
    assert (patches.min(axis=(1, 2, 3)) == 0).all()
    assert (patches.max(axis=(1, 2, 3)) == 255).all()
    assert (patches.std(axis=(1, 2, 3)) > 20).all()


def test_patches_differ_and_are_seeded():
    first, same, other = (cut_patches((8, 8, 1), 20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(np.unique(first, axis=0)) == 20
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_patch_as_large_as_a_photograph_still_fits():
    assert cut_patches((500, 700, 3), 1, np.random.default_rng(0)).shape == (1, 500, 700, 3)
