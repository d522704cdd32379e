import torch

from training.data.augmentation import PADDING, augment


def pixel_at_the_centre(num_rows):
    images = torch.zeros((num_rows, 9, 9, 3), dtype=torch.uint8)
    images[:, 4, 4] = torch.tensor([10, 20, 30], dtype=torch.uint8)
    return images


def test_every_shift_up_to_the_padding_occurs_and_none_beyond():
    moved = augment(pixel_at_the_centre(3000), torch.Generator().manual_seed(0))
    assert moved.shape == (3000, 9, 9, 3)
    _, rows, columns, _ = moved.nonzero(as_tuple=True)
    assert len(rows) == 9000
    assert set(rows.tolist()) == set(columns.tolist()) == set(range(4 - PADDING, 5 + PADDING))
    assert torch.equal(
        moved[moved > 0].reshape(-1, 3), torch.tensor([[10, 20, 30]] * 3000, dtype=torch.uint8)
    )


def test_half_of_the_rows_are_mirrored():
    images = torch.arange(1, 21, dtype=torch.uint8).reshape(1, 1, 20, 1).repeat(2000, 1, 1, 1)
    padded = torch.cat([images] * 9, dim=1)
    middle = augment(padded, torch.Generator().manual_seed(0))[:, 4, :, 0].int()
    steps = (middle[:, 11] - middle[:, 10]).tolist()
    assert set(steps) == {1, -1}
    assert 900 < steps.count(-1) < 1100


def test_the_generator_decides():
    images = torch.randint(0, 256, (8, 9, 9, 3), dtype=torch.uint8)
    first, same, other = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
