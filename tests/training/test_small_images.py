import math

import pytest
import torch
from timm import create_model
from torch import nn
from torchvision.models import get_model

from training.errors import ModelError
from training.small_images import build_small_resnet, is_small_resnet, keep_resolution, small_resnets_like

ROW = torch.zeros(1, 3, 32, 32)
TORCHVISION = "torchvision:"

# The layer that makes the last map, and how much larger that gets.
LAST_MAPS = [
    ("resnet18", "layer4", 4),
    ("resnet50", "layer4", 4),
    ("resnet10t", "layer4", 4),
    ("resnet26t", "layer4", 4),
    ("resnetblur18", "layer4", 4),
    ("densenet121", "features", 4),
    ("efficientnet_b0", "blocks", 2),
    ("efficientnet_b4", "blocks", 2),
    ("tf_efficientnetv2_s", "blocks", 2),
    ("mobilenetv3_small_100", "blocks", 2),
    ("regnetx_002", "s4", 2),
    # Its classifier is a convolution, outside of the features.
    ("dpn68", "features", 4),
    ("convnext_atto", "stages", 4),
    ("repvgg_a0", "stages", 2),
    ("hgnetv2_b0", "stages", 4),
    ("torchvision:resnet18", "layer4", 4),
    ("torchvision:resnet50", "layer4", 4),
    ("torchvision:densenet121", "features", 4),
    ("torchvision:efficientnet_b0", "features", 2),
    ("torchvision:efficientnet_b4", "features", 2),
    ("torchvision:efficientnet_v2_s", "features", 2),
    ("torchvision:mobilenet_v3_small", "features", 2),
]


def build_plain(name, **settings):
    torch.manual_seed(0)
    if name.startswith(TORCHVISION):
        return get_model(name.removeprefix(TORCHVISION), weights=None)
    return create_model(name, **settings)


def build_small(name):
    model = build_plain(name)
    keep_resolution(model, ROW, name)
    return model


def map_side(model, layer, row):
    """Side of the map that the layer makes of the row."""
    sides = []
    hook = model.get_submodule(layer).register_forward_hook(lambda *call: sides.append(call[2].shape[-1]))
    model.eval()(row)
    hook.remove()
    return sides[0]


@pytest.mark.parametrize(("name", "last_layer", "factor"), LAST_MAPS)
def test_the_last_map_is_larger_by_the_strides_removed(name, last_layer, factor):
    # Shapes alone, without numbers: a plain model leaves one pixel of a 32x32 image.
    with torch.device("meta"):
        model, row = build_plain(name), torch.zeros(1, 3, 32, 32)
        assert map_side(model, last_layer, row) == 1
        keep_resolution(model, row, name)
        assert map_side(model, last_layer, row) == factor


@pytest.mark.parametrize(
    ("name", "layer", "deviation"),
    [
        ("resnet18", "conv1", math.sqrt(2 / (9 * 64))),
        ("torchvision:resnet18", "conv1", math.sqrt(2 / (9 * 64))),
        ("torchvision:densenet121", "features.conv0", math.sqrt(2 / (9 * 3))),
    ],
)
def test_a_large_stem_becomes_a_3x3_drawn_as_the_library_draws(name, layer, deviation):
    stem = build_small(name).get_submodule(layer)
    assert (stem.kernel_size, stem.stride, stem.padding, stem.bias) == ((3, 3), (1, 1), (1, 1), None)
    # 1728 draws.
    assert stem.weight.std().item() == pytest.approx(deviation, rel=0.06)
    assert stem.weight.mean().item() == pytest.approx(0, abs=deviation / 10)


def test_a_stem_with_a_bias_keeps_one():
    with torch.device("meta"):
        model = build_plain("torchvision:squeezenet1_0")
        keep_resolution(model, torch.zeros(1, 3, 32, 32), "squeezenet")
    assert model.features[0].bias.shape == (96,)
    assert isinstance(model.features[2], nn.Identity)


def test_a_deep_stem_loses_all_its_strides_and_the_pooling():
    model = build_small("resnet10t")
    assert [layer.stride for layer in model.conv1 if isinstance(layer, nn.Conv2d)] == [(1, 1)] * 3
    assert isinstance(model.maxpool, nn.Identity)


def test_nothing_else_changes():
    plain, small = build_plain("resnet10t"), build_small("resnet10t")
    assert list(plain.state_dict()) == list(small.state_dict())
    # 0 batches tracked among them: what is sent through to find the stem leaves no trace.
    assert all(torch.equal(small.state_dict()[name], kept) for name, kept in plain.state_dict().items())
    assert small.training
    assert not any(module._forward_pre_hooks for module in small.modules())
    strides = [module.stride for module in small.modules() if isinstance(module, nn.Conv2d)]
    assert strides.count((2, 2)) == 3


def test_nothing_is_drawn():
    model = build_plain("resnet18")
    before = torch.get_rng_state()
    keep_resolution(model, ROW, "resnet18")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vit_tiny_patch16_224", "its only one cuts the image into patches"),
        ("torchvision:vit_b_16", "the image meets none"),
        ("vgg11", "its stem has no stride to take out"),
        ("darknet53", "its stem has no stride to take out"),
        ("nf_resnet50", "no 3x3 one is known for its stem's ScaledStdConv2d"),
    ],
)
def test_a_model_without_a_strided_convolutional_stem_is_refused(name, reason):
    settings = {"img_size": 32} if name.startswith("vit") else {}
    with torch.device("meta"):
        model = build_plain(name, **settings)
        with pytest.raises(ModelError, match=f"no model small:{name}; .*{reason}"):
            keep_resolution(model, torch.zeros(1, 3, 32, 32), name)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet8", [16, 16, 16, 32, 32, 32, 64, 64, 64]),
        ("resnet8x1", [16, 16, 16, 32, 32, 32, 64, 64, 64]),
        ("resnet8x0.5", [8, 8, 8, 16, 16, 16, 32, 32, 32]),
        ("resnet8x1.125", [18, 18, 18, 36, 36, 36, 72, 72, 72]),
        ("resnet14x2", [32] * 5 + [64] * 5 + [128] * 5),
    ],
)
def test_the_multiplier_widens_every_stage(name, channels):
    model = build_small_resnet(name, 3, 10).eval()
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert [convolution.out_channels for convolution in convolutions] == channels
    with torch.no_grad():
        assert tuple(model(ROW).shape) == (1, 10)


@pytest.mark.parametrize("name", ["resnet18", "resnet9x0.5", "resnext50_32x4d", "resnet50x4_clip", "x"])
def test_other_names_are_other_models(name):
    assert not is_small_resnet(name)


@pytest.mark.parametrize(
    "multiplier", ["", "0.1234", "-1", "+1", "1e1", ".5", "1.", "nan", "half", "2x2", "²"]
)
def test_a_multiplier_that_is_none(multiplier):
    with pytest.raises(ModelError, match="a width multiplier with at most 3 decimals, as in resnet8x"):
        is_small_resnet(f"resnet8x{multiplier}")


@pytest.mark.parametrize(("multiplier", "fewest"), [("0", 0), ("0.000", 0), ("0.25", 4), ("0.45", 7)])
def test_a_multiplier_that_leaves_too_few_channels(multiplier, fewest):
    with pytest.raises(ModelError, match=f"{multiplier} times 16 channels is {fewest}, and 8 are needed"):
        is_small_resnet(f"resnet20x{multiplier}")


def test_suggestions_keep_the_width():
    assert small_resnets_like("resnet9x0.5")[:2] == ["resnet8x0.5", "resnet14x0.5"]
    assert small_resnets_like("resnet9")[:2] == ["resnet8", "resnet14"]
    assert small_resnets_like("resnet9xl")[:2] == ["resnet8", "resnet14"]
