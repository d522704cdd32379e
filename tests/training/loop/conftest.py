"""Rows to train on."""

import pytest
import torch

from tests.training.loop.linear import NUM_ROWS
from training.evaluation import Rows


@pytest.fixture(autouse=True)
def one_thread():
    """As members are trained: threads wait for each other longer than so little work takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (NUM_ROWS, 2, 2, 1), dtype=torch.uint8, generator=generator)
    return Rows(images=images, labels=images.flatten(1)[:, :3].argmax(dim=1))
