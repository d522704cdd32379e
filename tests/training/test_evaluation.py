import numpy as np
import pytest
import torch

from training import evaluation
from training.data.splits import Split
from training.evaluation import Rows, evaluate, logits_of, rows_of


class Fixed(torch.nn.Module):
    """The image's first pixels are its logits."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, images):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.sizes.append(len(images))
        return images.flatten(1)[:, :2].float()


@pytest.fixture
def rows():
    logits = torch.tensor([[2, 0], [0, 1], [3, 0]], dtype=torch.uint8)
    return Rows(images=logits.reshape(3, 1, 2, 1), labels=torch.tensor([0, 1, 1]))


def test_evaluation_by_hand_in_eval_mode(rows):
    accuracy, nll = evaluate(Fixed(), rows)
    assert accuracy == pytest.approx(2 / 3)
    expected = [np.log1p(np.exp(-2)), np.log1p(np.exp(-1)), np.log1p(np.exp(3))]
    assert nll == pytest.approx(np.mean(expected), rel=1e-12)


def test_many_rows_go_in_parts_and_come_back_in_order(rows, monkeypatch):
    monkeypatch.setattr(evaluation, "EVALUATION_ROWS", 2)
    model = Fixed()
    assert logits_of(model, rows.images).tolist() == [[2, 0], [0, 1], [3, 0]]
    assert model.sizes == [2, 1]


def test_rows_of_a_split_are_its_own():
    images = np.arange(4, dtype=np.uint8).reshape(2, 2, 1, 1)
    rows = rows_of(Split(images=images, labels=np.array([4, 5]), groups=np.zeros(2, np.int64)))
    assert len(rows) == 2
    assert (rows.images.numpy() == images).all() and rows.labels.tolist() == [4, 5]


def test_rows_without_labels_are_refused():
    images = np.zeros((1, 2, 2, 1), np.uint8)
    with pytest.raises(ValueError, match="rows without labels can't be trained on"):
        rows_of(Split(images=images, labels=None, groups=np.zeros(1, np.int64)))
