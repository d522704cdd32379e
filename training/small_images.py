"""Models for small images.

The ResNets that He et al. made for CIFAR, in any width, and what makes a model for large images keep the
resolution of small ones: a stem without strides and without the pooling after it.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from itertools import islice, takewhile

import torch
from timm.layers.classifier import ClassifierHead
from timm.models.resnet import BasicBlock, downsample_conv
from torch import Tensor, nn

from training.errors import ModelError

# He et al. 2016 (arXiv 1512.03385), section 4.2: depth 6n + 2, n blocks in each of three stages.
BLOCKS_PER_STAGE = {
    "resnet8": 1,
    "resnet14": 2,
    "resnet20": 3,
    "resnet32": 5,
    "resnet56": 9,
    "resnet110": 18,
}
STAGE_CHANNELS = (16, 32, 64)
MULTIPLIER = re.compile(r"[0-9]+(\.[0-9]{1,3})?")
# With 4, torch 2.15 writes beyond its memory on a CPU: the backward of a 1x1 convolution of stride 2 over
# channels-last tensors, seen to end in "free(): invalid next size". 8 is right.
FEWEST_CHANNELS = 8

# The kernel that small images want in a stem.
KERNEL = 3


def is_small_resnet(name: str) -> bool:
    """Whether the name is a CIFAR ResNet's: `resnet8`, or `resnet8x0.5` with a multiplier of its width.

    Raises ModelError where the depth is one of them and the multiplier is none, or too small.
    """
    depth, separator, multiplier = name.partition("x")
    if depth not in BLOCKS_PER_STAGE:
        return False
    if separator:
        _check_multiplier(name, multiplier)
    return True


def small_resnets_like(name: str) -> list[str]:
    """The known depths in the name's own width, for suggestions."""
    _, _, multiplier = name.partition("x")
    width = f"x{multiplier}" if MULTIPLIER.fullmatch(multiplier) else ""
    return [depth + width for depth in BLOCKS_PER_STAGE]


def build_small_resnet(name: str, channels: int, num_classes: int) -> nn.Module:
    """(N, channels, H, W) -> (N, num_classes): 3x3 stem, no pooling, three stages.

    Projections where the paper pads shortcuts with zeros. The name is one that `is_small_resnet` knows.
    """
    depth, _, multiplier = name.partition("x")
    stages = _stage_channels(float(multiplier or 1))
    width = stages[0]
    stem = nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
    blocks = []
    for stage, planes in enumerate(stages):
        for index in range(BLOCKS_PER_STAGE[depth]):
            blocks.append(_block(width, planes, stride=2 if stage > 0 and index == 0 else 1))
            width = planes
    head = ClassifierHead(width, num_classes)
    backbone = nn.Sequential(stem, *blocks, head)
    _initialise(backbone)
    return backbone


def keep_resolution(backbone: nn.Module, row: Tensor, name: str) -> None:
    """Takes the strides out of the backbone's stem, and the max pooling after it, in place.

    The stem is the outermost module around the first convolution that does not hold the middle one, too. Its
    strided convolutions get stride 1; one with a kernel above 3 becomes a fresh 3x3 with padding 1. Nothing
    is drawn from a random generator. `row` (1, C, H, W) is sent through to see what comes first; `name` is in
    messages. Raises ModelError where there is no strided convolutional stem.
    """
    met = _layers_met(backbone, row)
    convolutions = {layer: module for layer, module in met.items() if isinstance(module, nn.Conv2d)}
    stem = _stem(list(convolutions), name)
    strided = {
        layer: module
        for layer, module in convolutions.items()
        if _is_in(layer, stem) and max(module.stride) > 1
    }
    if not strided:
        raise ModelError(f"no model small:{name}; its stem has no stride to take out")
    pool = _stem_pool(backbone, met, stem)
    for layer, convolution in strided.items():
        backbone.set_submodule(layer, _without_stride(convolution, name))
    if pool is not None:
        backbone.set_submodule(pool, nn.Identity())


def _check_multiplier(name: str, multiplier: str) -> None:
    if not MULTIPLIER.fullmatch(multiplier):
        wanted = "a width multiplier with at most 3 decimals, as in resnet8x0.5"
        raise ModelError(f"no model {name!r}; after the x stands {wanted}")
    if (fewest := _stage_channels(float(multiplier))[0]) < FEWEST_CHANNELS:
        times = f"{multiplier} times {STAGE_CHANNELS[0]} channels is {fewest}"
        wanted = f"{times}, and {FEWEST_CHANNELS} are needed"
        raise ModelError(f"no model {name!r}; {wanted}")


def _stage_channels(multiplier: float) -> tuple[int, ...]:
    return tuple(round(multiplier * channels) for channels in STAGE_CHANNELS)


def _block(width: int, planes: int, stride: int) -> nn.Module:
    shortcut = None if width == planes else downsample_conv(width, planes, kernel_size=1, stride=stride)
    block: nn.Module = BasicBlock(width, planes, stride, downsample=shortcut)
    return block


def _initialise(backbone: nn.Module) -> None:
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, BasicBlock):
            module.zero_init_last()


def _layers_met(backbone: nn.Module, row: Tensor) -> dict[str, nn.Module]:
    """Convolutions and max poolings by name, in the order in which the row meets them."""
    met: dict[str, nn.Module] = {}
    was_training = backbone.training
    # A model too deep for the small image has shown its stem by the time it fails, and may yet fit without
    # the strides.
    with (
        _noting(backbone, met),
        contextlib.suppress(AssertionError, RuntimeError, ValueError),
        torch.no_grad(),
    ):
        backbone.eval()(row)
    backbone.train(was_training)
    return met


@contextlib.contextmanager
def _noting(backbone: nn.Module, met: dict[str, nn.Module]) -> Iterator[None]:
    def note(name: str) -> Callable[[nn.Module, object], None]:
        def hook(module: nn.Module, _: object) -> None:
            met.setdefault(name, module)

        return hook

    hooks = [
        module.register_forward_pre_hook(note(name))
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Conv2d | nn.MaxPool2d)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _stem(convolutions: list[str], name: str) -> str:
    if len(convolutions) < 2:
        kind = "its only one cuts the image into patches" if convolutions else "the image meets none"
        raise ModelError(f"no model small:{name}; it needs a stem of convolutions, {kind}")
    # The middle one, not the last: some classifiers are convolutions, beside the trunk and not in it.
    first, middle = (layer.split(".") for layer in (convolutions[0], convolutions[len(convolutions) // 2]))
    shared = sum(1 for _ in takewhile(lambda parts: parts[0] == parts[1], zip(first, middle, strict=False)))
    return ".".join(first[: shared + 1])


def _is_in(layer: str, outer: str) -> bool:
    return f"{layer}.".startswith(f"{outer}.")


def _stem_pool(backbone: nn.Module, met: dict[str, nn.Module], stem: str) -> str | None:
    """The max pooling in the stem or right after it, with the blurring that some models put beside it."""
    after_stem = (layer for layer in met if not _is_in(layer, stem))
    candidates = [*(layer for layer in met if _is_in(layer, stem)), *islice(after_stem, 1)]
    pool = next((layer for layer in candidates if isinstance(met[layer], nn.MaxPool2d)), None)
    if pool is None:
        return None
    outer = _outermost_without_convolution(backbone, pool)
    module = backbone.get_submodule(outer)
    # One of stride 1 on its own is a branch that keeps the resolution.
    return None if isinstance(module, nn.MaxPool2d) and module.stride in (1, (1, 1)) else outer


def _outermost_without_convolution(backbone: nn.Module, layer: str) -> str:
    parts = layer.split(".")
    outers = (".".join(parts[:end]) for end in range(1, len(parts)))
    return next((outer for outer in outers if not _has_convolution(backbone.get_submodule(outer))), layer)


def _has_convolution(module: nn.Module) -> bool:
    return any(isinstance(part, nn.Conv2d) for part in module.modules())


def _without_stride(convolution: nn.Conv2d, name: str) -> nn.Conv2d:
    if max(convolution.kernel_size) <= KERNEL:
        convolution.stride = (1, 1)
        return convolution
    # What a subclass computes from its kernel's size is not known here.
    if type(convolution) is not nn.Conv2d:
        kind = type(convolution).__name__
        raise ModelError(f"no model small:{name}; no 3x3 one is known for its stem's {kind}")
    return _smaller(convolution)


def _smaller(large: nn.Conv2d) -> nn.Conv2d:
    """A 3x3 convolution of stride 1 that is initialised as the large one was.

    It takes the centre of the large one's weights, which are independent draws, widened as the fan gets
    smaller: libraries draw weights with a spread of 1 / sqrt(fan), He et al. 2015 (arXiv 1502.01852). Those
    drawn with a fixed spread, as ConvNeXt's, get wider too; the normalisation after them takes that out.
    """
    small: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d,
        large.in_channels,
        large.out_channels,
        KERNEL,
        padding=1,
        groups=large.groups,
        bias=large.bias is not None,
        device=large.weight.device,
    )
    height, width = large.kernel_size
    top, left = (height - KERNEL) // 2, (width - KERNEL) // 2
    widening = (height * width) ** 0.5 / KERNEL
    with torch.no_grad():
        small.weight.copy_(large.weight[:, :, top : top + KERNEL, left : left + KERNEL] * widening)
        if large.bias is not None and small.bias is not None:
            small.bias.copy_(large.bias * widening)
    return small
