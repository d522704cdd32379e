"""Models by name, rebuilt from a small description, and read back from a member's folder.

A name is one of timm's (`resnet10t`), `torchvision:NAME`, either of them with a stem for small images
(`small:resnet18`, `small:torchvision:resnet18`), or a small-image ResNet (`resnet8`, or `resnet8x0.5` at half
its width). None is pretrained.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from training.errors import MemberFileError, ModelError
from training.small_images import build_small_resnet, is_small_resnet, keep_resolution, small_resnets_like

FORMAT_VERSION = 1
TORCHVISION = "torchvision:"
SMALL = "small:"
KINDS = "names are timm's, torchvision:NAME, small:NAME or resnet8"

# These would return a tuple while training, and warn about their default initialisation.
AUXILIARY_OFF = {"aux_logits": False, "init_weights": True}
TORCHVISION_OPTIONS = {"googlenet": AUXILIARY_OFF, "inception_v3": AUXILIARY_OFF}


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Enough to rebuild a model. `mean` and `std` are per channel, of pixels scaled to [0, 1]."""

    name: str
    height: int
    width: int
    channels: int
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for field in ("height", "width", "channels", "num_classes"):
            value = getattr(self, field)
            if not isinstance(value, int) or value < 1:
                raise ModelError(f"{field} must be a whole number above 0, got {value!r}")
        for field in ("mean", "std"):
            if len(getattr(self, field)) != self.channels:
                raise ModelError(f"{field} must hold {self.channels} values, got {getattr(self, field)}")
        if not all(value > 0 for value in self.std):
            raise ModelError(f"std must be above 0 in every channel, got {self.std}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "ModelSpec":
        wanted = {field.name for field in fields(cls)}
        if set(document) != wanted:
            raise ModelError(f"a model is described by {sorted(wanted)}, got {sorted(document)}")
        return cls(**{**document, "mean": tuple(document["mean"]), "std": tuple(document["std"])})


class ImageClassifier(nn.Module):
    """uint8 pixels (N, H, W, C) -> float32 logits (N, classes), normalisation inside."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.backbone = backbone
        # Not among the weights: the description is their one source.
        self.register_buffer("mean", _per_channel(spec.mean), persistent=False)
        self.register_buffer("std", _per_channel(spec.std), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        pixels = image.permute(0, 3, 1, 2).to(self.mean.dtype) / 255
        logits: Tensor = self.backbone((pixels - self.mean) / self.std)
        return logits


def build_model(spec: ModelSpec) -> ImageClassifier:
    """A freshly initialised model, in training mode, that has been seen to take its input.

    Layers draw their weights from torch's global generator; seed it before. Raises ModelError for an unknown
    name or an input the model can't take.
    """
    model = ImageClassifier(_build_backbone(spec), spec)
    _try_one_row(model, spec)
    return model


def count_macs(model: ImageClassifier, spec: ModelSpec) -> int:
    """Multiply-accumulates of one row's forward (torch counts two operations for each)."""
    counter = FlopCounterMode(display=False)
    with counter:
        _forward_one_row(model, spec)
    return int(counter.get_total_flops()) // 2


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def load_member(folder: Path) -> tuple[ImageClassifier, dict[str, Any]]:
    """The model in eval mode and the content of `member.json`. Raises MemberFileError, naming the file."""
    manifest = _read_manifest(folder / "member.json")
    weights = folder / "model.safetensors"
    try:
        model = build_model(ModelSpec.from_json(manifest["model"]))
        model.load_state_dict(load_file(weights))
    except FileNotFoundError as error:
        raise MemberFileError(f"{weights} is missing") from error
    except (SafetensorError, RuntimeError) as error:
        raise MemberFileError(f"{weights} does not hold the weights of this model: {_line(error)}") from error
    except (ModelError, KeyError, TypeError) as error:
        raise MemberFileError(f"{folder / 'member.json'} describes no model: {_line(error)}") from error
    return model.eval(), manifest


def check_model_name(name: str) -> None:
    """Raises ModelError with near names where there is no such model."""
    plain = name.removeprefix(SMALL)
    if is_small_resnet(plain):
        if plain != name:
            raise ModelError(f"no model {name!r}; {plain} is made for small images as it is")
    elif not _is_library_name(plain):
        prefix = name.removesuffix(plain)
        known = [*([] if prefix else small_resnets_like(plain)), *_library_names(plain)]
        near = difflib.get_close_matches(plain, known, n=4)
        hint = f"near it: {', '.join(prefix + other for other in near)}" if near else KINDS
        raise ModelError(f"no model {name!r}; {hint}")


def _is_library_name(name: str) -> bool:
    # timm takes the tag of pretrained weights after a dot, and ignores it without them.
    untagged = name if name.startswith(TORCHVISION) else name.split(".")[0]
    return untagged in _library_names(name)


def _library_names(name: str) -> list[str]:
    """All names of the library that the name's prefix says."""
    if name.startswith(TORCHVISION):
        return [TORCHVISION + model for model in torchvision.models.list_models(module=torchvision.models)]
    return list(timm.list_models())


def _build_backbone(spec: ModelSpec) -> nn.Module:
    check_model_name(spec.name)
    if spec.name.startswith(SMALL):
        return _small_variant(replace(spec, name=spec.name.removeprefix(SMALL)))
    if is_small_resnet(spec.name):
        return build_small_resnet(spec.name, spec.channels, spec.num_classes)
    if spec.name.startswith(TORCHVISION):
        return _torchvision_model(spec.name.removeprefix(TORCHVISION), spec)
    return _timm_model(spec)


def _small_variant(spec: ModelSpec) -> nn.Module:
    """The model of the description, made to keep the resolution of small images."""
    backbone = _build_backbone(spec)
    keep_resolution(backbone, torch.zeros(1, spec.channels, spec.height, spec.width), spec.name)
    return backbone


def _torchvision_model(name: str, spec: ModelSpec) -> nn.Module:
    if spec.channels != 3:
        raise ModelError(f"torchvision's {name} takes 3 channels, the images have {spec.channels}")
    options = TORCHVISION_OPTIONS.get(name, {})
    model: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=spec.num_classes, **options
    )
    return model


def _timm_model(spec: ModelSpec) -> nn.Module:
    pretrained = timm.get_pretrained_cfg(spec.name)
    # Models of a fixed input (position embeddings, windows) must be told the size; others don't take it.
    is_fixed = pretrained is not None and pretrained.fixed_input_size
    options: dict[str, Any] = {"img_size": (spec.height, spec.width)} if is_fixed else {}
    try:
        model: nn.Module = timm.create_model(
            spec.name, pretrained=False, num_classes=spec.num_classes, in_chans=spec.channels, **options
        )
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{spec.name} can't be built for {_shape(spec)} input: {_line(error)}") from error
    return model


def _try_one_row(model: ImageClassifier, spec: ModelSpec) -> None:
    try:
        logits = _forward_one_row(model, spec)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ModelError(f"{spec.name} can't take {_shape(spec)} input: {_line(error)}") from error
    if tuple(logits.shape) != (1, spec.num_classes):
        raise ModelError(f"{spec.name} is no classifier: one row gives outputs {tuple(logits.shape)}")


def _forward_one_row(model: ImageClassifier, spec: ModelSpec) -> Tensor:
    """In eval mode, so that no statistics move; the mode is put back."""
    was_training = model.training
    device = model.mean.device
    row = torch.zeros((1, spec.height, spec.width, spec.channels), dtype=torch.uint8, device=device)
    with torch.no_grad():
        logits: Tensor = model.eval()(row)
    model.train(was_training)
    return logits


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MemberFileError(f"{path} is missing") from error
    except (OSError, ValueError) as error:
        raise MemberFileError(f"{path} is no JSON: {_line(error)}") from error
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if version != FORMAT_VERSION:
        raise MemberFileError(f"{path} has format_version {version!r}; known is {FORMAT_VERSION}")
    return dict(manifest)


def _shape(spec: ModelSpec) -> str:
    return f"{spec.height}x{spec.width}x{spec.channels}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
