"""How good a model is on rows it is not trained on."""

import torch
from torch import Tensor, nn

from training.data.splits import Split
from training.team import ALONE, Team

EVALUATION_ROWS = 512


class Rows:
    """images: uint8 (N, H, W, C); labels: int64 (N,); both on one device."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)


def rows_of(split: Split, device: torch.device | str = "cpu") -> Rows:
    if split.labels is None:
        raise ValueError("rows without labels can't be trained on")
    return Rows(torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device))


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, classes) of uint8 images (N, H, W, C), in eval mode."""
    model.eval()
    with torch.no_grad():
        parts = [model(part) for part in torch.split(images, EVALUATION_ROWS)]
    return torch.cat(parts)


def evaluate(model: nn.Module, rows: Rows, team: Team = ALONE) -> tuple[float, float]:
    """Accuracy and mean negative log-likelihood, in eval mode; of several processes each runs its share."""
    share = team.share(len(rows))
    labels = rows.labels[share]
    logits = logits_of(model, rows.images[share]).double()
    nlls = nn.functional.cross_entropy(logits, labels, reduction="none")
    is_correct = (logits.argmax(dim=1) == labels).double()
    parts = team.gather(torch.stack([is_correct, nlls], dim=1).flatten().cpu())
    accuracy, nll = torch.cat(parts).reshape(-1, 2).mean(dim=0)
    return float(accuracy), float(nll)
