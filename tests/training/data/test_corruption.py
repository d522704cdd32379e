import numpy as np
import pytest

from training.data.corruption import CHUNK_ROWS, add_noise, blur, corrupt, draw_severities, occlude


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1), dtype=np.uint8)


def distortion(images, difficulty):
    corrupted = corrupt(images, difficulty, np.random.default_rng(1))
    return np.abs(corrupted.astype(float) - images).mean()


@pytest.mark.parametrize("shape", [(200, 8, 8, 1), (20, 12, 16, 3), (0, 8, 8, 1)])
def test_difficulty_zero_is_the_identity(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(corrupt(images, 0.0, np.random.default_rng(1)), images)


def test_mean_distortion_grows_with_the_difficulty(images):
    distortions = [distortion(images, difficulty) for difficulty in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    assert distortions[0] == 0
    assert np.all(np.diff(distortions) > 2)


def test_the_generator_decides(images):
    first, same = (corrupt(images, 0.5, np.random.default_rng(1)) for _ in range(2))
    other = corrupt(images, 0.5, np.random.default_rng(2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_rows_past_the_first_chunk_are_corrupted_too():
    images = np.full((CHUNK_ROWS + 3, 2, 2, 1), 128, dtype=np.uint8)
    corrupted = corrupt(images, 1.0, np.random.default_rng(0))
    assert corrupted.shape == images.shape
    assert (corrupted[CHUNK_ROWS:] != 128).any()


def test_severities_fill_the_range_up_to_the_difficulty():
    severities = draw_severities(10_000, 0.6, np.random.default_rng(0))
    assert severities.min() < 0.001
    assert 0.599 < severities.max() < 0.6
    assert severities.mean() == pytest.approx(0.3, abs=0.01)


def test_blur_weighs_neighbours_by_a_gaussian():
    pixels = np.zeros((2, 5, 5, 1), dtype=np.float32)
    pixels[:, 2, 2] = 100
    sharp, blurred = blur(pixels, np.array([0, 0.7], dtype=np.float32))[..., 0]
    assert np.array_equal(sharp, pixels[0, ..., 0])
    assert blurred[2, 3] / blurred[2, 2] == pytest.approx(np.exp(-0.5 / 0.7**2), rel=1e-2)
    assert blurred[3, 3] == pytest.approx(blurred[1, 1])


def test_blur_leaves_a_flat_image_flat():
    pixels = np.full((1, 6, 4, 3), 77, dtype=np.float32)
    assert blur(pixels, np.array([2.0], dtype=np.float32)) == pytest.approx(pixels, rel=1e-5)


def test_occlusion_paints_one_square_of_the_side_asked_for():
    pixels = np.full((3, 6, 7, 2), -1, dtype=np.float32)
    occluded = occlude(pixels, np.array([0, 1, 4]), np.random.default_rng(0))
    painted = occluded != -1
    assert painted.all(axis=3).sum(axis=(1, 2)).tolist() == [0, 1, 16]
    assert painted[2].any(axis=(1, 2)).sum() == 4
    assert painted[2].any(axis=(0, 2)).sum() == 4
    assert len(np.unique(occluded[2][painted[2]])) == 1


def test_noise_has_the_sigma_of_its_row():
    pixels = np.zeros((3, 50, 50, 1), dtype=np.float32)
    noisy = add_noise(pixels, np.array([0, 10, 40], dtype=np.float32), np.random.default_rng(0))
    assert noisy.std(axis=(1, 2, 3)) == pytest.approx([0, 10, 40], rel=0.05)
