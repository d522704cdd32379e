import pytest
import torch

from training.data.augmentation import Draws, apply, augment, draw, reach
from training.data.config import AUGMENTATIONS


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(num_rows=33, height=9, width=13):
    return torch.randint(0, 256, (num_rows, height, width, 3), dtype=torch.uint8, generator=seeded(7))


def pixel_at_the_centre(num_rows):
    """33x33 pixels, black but for one."""
    images = torch.zeros((num_rows, 33, 33, 3), dtype=torch.uint8)
    images[:, 16, 16] = torch.tensor([10, 20, 30], dtype=torch.uint8)
    return images


def ramp(num_rows):
    """33x33 pixels, brighter from left to right."""
    return (5 * torch.arange(1, 34, dtype=torch.uint8)).reshape(1, 1, 33, 1).repeat(num_rows, 33, 1, 1)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(32, 32, 4), (96, 96, 12), (8, 8, 1), (3, 3, 1), (40, 16, 2), (39, 64, 4)],
)
def test_a_shift_goes_up_to_an_eighth_of_the_shorter_side(height, width, expected):
    assert reach(height, width) == expected


@pytest.mark.parametrize("name", ["shift", "standard"])
def test_every_shift_up_to_the_reach_occurs_and_none_beyond(name):
    moved = augment(name, pixel_at_the_centre(3000), seeded())
    assert moved.shape == (3000, 33, 33, 3)
    _, rows, columns, _ = moved.nonzero(as_tuple=True)
    assert len(rows) == 9000
    assert set(rows.tolist()) == set(columns.tolist()) == set(range(12, 21))
    assert torch.equal(
        moved[moved > 0].reshape(-1, 3), torch.tensor([[10, 20, 30]] * 3000, dtype=torch.uint8)
    )


def test_an_offset_moves_the_window_and_what_it_uncovers_is_black():
    image = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 3, 3, 1)
    draws = Draws(offsets=torch.tensor([[1, 0], [0, -1], [-1, 1]]))
    moved = apply(image.repeat(3, 1, 1, 1), draws)[..., 0].tolist()
    assert moved == [
        [[4, 5, 6], [7, 8, 9], [0, 0, 0]],
        [[0, 1, 2], [0, 4, 5], [0, 7, 8]],
        [[0, 0, 0], [2, 3, 0], [5, 6, 0]],
    ]


@pytest.mark.parametrize(
    ("name", "lowest", "highest"), [("shift", 0, 0), ("standard", 900, 1100), ("resized-crop", 900, 1100)]
)
def test_half_of_the_rows_are_mirrored_or_none(name, lowest, highest):
    middle = augment(name, ramp(2000), seeded())[:, 16, :, 0].int()
    num_mirrored = int((middle[:, 20] < middle[:, 12]).sum())
    assert lowest <= num_mirrored <= highest
    assert (middle[:, 20] != middle[:, 12]).all()


@pytest.mark.parametrize("name", ["standard", "resized-crop"])
def test_a_mirrored_row_is_the_mirror_image_of_the_same_row(name):
    images = random_images()
    draws = draw(name, 33, 9, 13, seeded())
    plain = apply(images, Draws(offsets=draws.offsets, boxes=draws.boxes))
    expected = [
        row.flip(1) if is_mirrored else row for row, is_mirrored in zip(plain, draws.is_mirrored, strict=True)
    ]
    assert torch.equal(apply(images, draws), torch.stack(expected))


def test_a_crop_is_enlarged_by_bilinear_interpolation():
    """Of 4 columns 0, 40, 80 and 120 the middle half, sampled at columns 0.75, 1.25, 1.75 and 2.25."""
    image = torch.tensor([0, 40, 80, 120], dtype=torch.uint8).reshape(1, 1, 4, 1).repeat(1, 3, 1, 1)
    wide = apply(image, Draws(boxes=torch.tensor([[0.0, 0.25, 1.0, 0.5]])))
    assert wide[0, :, :, 0].tolist() == [[30, 50, 70, 90]] * 3
    high = apply(image.transpose(1, 2), Draws(boxes=torch.tensor([[0.25, 0.0, 0.5, 1.0]])))
    assert high[0, :, :, 0].tolist() == [[value] * 3 for value in (30, 50, 70, 90)]


def test_outermost_pixels_go_on_at_the_edges():
    image = torch.tensor([40, 200], dtype=torch.uint8).reshape(1, 1, 2, 1)
    cropped = apply(image, Draws(boxes=torch.tensor([[0.0, 0.0, 1.0, 0.25]])))
    assert cropped.flatten().tolist() == [40, 40]


def test_the_crop_of_the_whole_is_the_image():
    images = random_images()
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(33, 1)
    assert torch.equal(apply(images, Draws(boxes=whole)), images)


def test_crops_fill_their_limits_and_stay_inside():
    top, left, height, width = draw("resized-crop", 50_000, 32, 32, seeded()).boxes.unbind(1)
    area, aspect = height * width, width / height
    assert (float(area.min()), float(area.max())) == pytest.approx((0.35, 1), abs=1e-3)
    assert float(area.mean()) == pytest.approx(0.675, abs=0.005)
    assert (float(aspect.min()), float(aspect.max())) == pytest.approx((3 / 4, 4 / 3), abs=1e-3)
    assert float(aspect.log().mean()) == pytest.approx(0, abs=0.005)
    for start, length in ((top, height), (left, width)):
        assert float(start.min()) >= 0
        assert float((start + length).max()) <= 1 + 1e-6
        places = start / (1 - length).clamp(min=1e-6)
        assert float(places.mean()) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize(
    "rows", [slice(5, 22), slice(0, 1), torch.tensor([30, 2, 2, 17])], ids=["slice", "row", "numbers"]
)
def test_a_part_of_a_batch_is_that_part_of_the_whole(name, rows):
    images = random_images()
    draws = draw(name, 33, 9, 13, seeded())
    assert torch.equal(apply(images[rows], draws.of(rows)), apply(images, draws)[rows])


@pytest.mark.parametrize("name", ["shift", "standard", "resized-crop"])
def test_the_generator_decides(name):
    images = random_images()
    first, same, other = (augment(name, images, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_none_leaves_images_and_generator_alone():
    images, generator = random_images(), seeded()
    before = generator.get_state()
    assert torch.equal(augment("none", images, generator), images)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_are_not_changed_in_place_and_lie_in_order(name):
    images = random_images()
    augmented = augment(name, images, seeded())
    assert torch.equal(images, random_images())
    assert (augmented.dtype, augmented.shape) == (torch.uint8, images.shape)
    assert augmented.is_contiguous()
