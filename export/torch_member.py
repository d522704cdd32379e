"""A trained member as an ONNX file. The one place, beside `export.graph`, that needs torch."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from export.errors import RunError
from export.graph import export_graph
from export.rows import Classifier, Feeds, Outputs
from export.signature import MemberSignature
from export.source import LoadedModel
from training.models import ModelSpec, load_member


class Resized(nn.Module):
    """uint8 pixels of any height and width, brought to the model's by bilinear interpolation, antialiased."""

    def __init__(self, model: nn.Module, height: int, width: int) -> None:
        super().__init__()
        self.model, self.size = model, (height, width)

    def forward(self, image: Tensor) -> Tensor:
        pixels = image.permute(0, 3, 1, 2).float()
        resized = interpolate(pixels, size=self.size, mode="bilinear", antialias=True)
        logits: Tensor = self.model(resized.permute(0, 2, 3, 1))
        return logits


def load_torch_member(folder: Path, signature: MemberSignature, *, is_resized: bool) -> LoadedModel:
    """The graph, and the model to compare it with. RunError where the member cannot be rebuilt."""
    model = _load(folder, is_resized)
    return LoadedModel(content=export_graph(model, signature), reference=_of_model(model))


def _load(folder: Path, is_resized: bool) -> nn.Module:
    try:
        model, manifest = load_member(folder)
    # Whatever keeps training's own reader from reading a member, the run is to blame.
    except Exception as error:
        raise RunError(f"cannot be rebuilt: {' '.join(str(error).split())}") from error
    spec = ModelSpec.from_json(manifest["model"])
    return Resized(model, spec.height, spec.width).eval() if is_resized else model


def _of_model(model: nn.Module) -> Classifier:
    def run(feeds: Feeds) -> Outputs:
        (images,) = feeds.values()
        with torch.inference_mode():
            logits: Outputs = model(torch.from_numpy(images)).numpy()
        return logits

    return run
