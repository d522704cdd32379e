"""What the members before a later one would forward to it: cascade-aware selection's rows."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.data.splits import RowNumbers
from training.evaluation import Rows, logits_of
from training.models import load_member
from training.selection.window import forwarded, threshold_rank


def rows_forwarded(members: Sequence[Path], train: Rows, validation: Rows, delta: float) -> RowNumbers:
    """The share delta of train rows that a window around the threshold on validation rows would forward.

    The score is the largest mean probability of the members, as a cascade's default.
    """
    on_validation = mean_probabilities(members, validation.images)
    is_correct = on_validation.argmax(dim=1) == validation.labels
    rank = threshold_rank(on_validation.max(dim=1).values.cpu().numpy(), is_correct.cpu().numpy())
    on_train = mean_probabilities(members, train.images)
    return forwarded(on_train.max(dim=1).values.cpu().numpy(), rank, delta)


def mean_probabilities(members: Sequence[Path], images: Tensor) -> Tensor:
    """float64 (N, classes), the mean over the members' best weights."""
    total = torch.zeros(())
    for folder in members:
        model, _ = load_member(folder)
        logits = logits_of(model.to(images.device), images)
        total = total.to(images.device) + torch.softmax(logits.double(), dim=1)
    return total / len(members)
