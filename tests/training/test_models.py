import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from training.errors import MemberFileError, ModelError
from training.models import (
    ModelSpec,
    build_model,
    check_model_name,
    count_macs,
    count_parameters,
    load_member,
)


def make_spec(name="resnet8", **settings):
    defaults = {"height": 8, "width": 8, "channels": 1, "num_classes": 10, "mean": (0.3,), "std": (0.4,)}
    return ModelSpec(**{"name": name} | defaults | settings)


def colour_spec(name, side=32):
    return make_spec(name, height=side, width=side, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


@pytest.fixture
def member(tmp_path):
    torch.manual_seed(0)
    model = build_model(make_spec()).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    write_manifest(tmp_path, {"format_version": 1, "name": "member-0", "model": make_spec().to_json()})
    return tmp_path, model


def write_manifest(folder, manifest):
    (folder / "member.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "spec",
    [
        make_spec("resnet8"),
        make_spec("resnet20", height=5, width=9, num_classes=3),
        colour_spec("resnet10t"),
        colour_spec("torchvision:resnet18"),
        colour_spec("vit_tiny_patch16_224"),
        make_spec("resnet8x0.5"),
        make_spec("small:resnet10t"),
        colour_spec("small:torchvision:resnet18"),
    ],
    ids=lambda spec: spec.name,
)
def test_raw_pixels_to_logits(spec):
    model = build_model(spec).eval()
    pixels = torch.randint(0, 256, (2, spec.height, spec.width, spec.channels), dtype=torch.uint8)
    with torch.no_grad():
        logits = model(pixels)
    assert (tuple(logits.shape), logits.dtype) == ((2, spec.num_classes), torch.float32)
    assert logits.isfinite().all()


def test_normalisation_is_inside():
    spec = colour_spec("resnet8", side=8)
    model = build_model(spec).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    by_hand = (pixels.transpose(0, 3, 1, 2) / 255 - np.reshape(spec.mean, (3, 1, 1))) / np.reshape(
        spec.std, (3, 1, 1)
    )
    with torch.no_grad():
        expected = model.backbone(torch.from_numpy(by_hand.astype(np.float32)))
        assert torch.allclose(model(torch.from_numpy(pixels)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "num_convolutions"), [("resnet8", 7), ("resnet14", 13), ("resnet56", 55), ("resnet110", 109)]
)
def test_small_resnets_have_the_depth_of_their_name(name, num_convolutions):
    kernels = [
        module.kernel_size
        for module in build_model(make_spec(name)).modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    assert kernels.count((3, 3)) == num_convolutions
    assert kernels.count((1, 1)) == 2


def test_macs_and_parameters_of_resnet8_by_hand():
    """Convolutions over 8x8, 4x4 and 2x2 pixels, two projections, the classifier."""
    stem, first = 64 * 9 * 16, 64 * 9 * 16 * 16 * 2
    second = 16 * (9 * (16 * 32 + 32 * 32) + 16 * 32)
    third = 4 * (9 * (32 * 64 + 64 * 64) + 32 * 64)
    model = build_model(make_spec())
    assert count_macs(model, make_spec()) == stem + first + second + third + 64 * 10
    weights = 9 * 16 + 9 * 512 + 9 * 1536 + 512 + 9 * 6144 + 2048
    assert count_parameters(model) == weights + 2 * (3 * 16 + 3 * 32 + 3 * 64) + 650


def test_macs_of_half_the_width_by_hand():
    """8, 16 and 32 channels over 32x32, 16x16 and 8x8 pixels of three colours."""
    stem, first = 1024 * 9 * 3 * 8, 1024 * 9 * 8 * 8 * 2
    second = 256 * (9 * (8 * 16 + 16 * 16) + 8 * 16)
    third = 64 * (9 * (16 * 32 + 32 * 32) + 16 * 32)
    spec = colour_spec("resnet8x0.5")
    model = build_model(spec)
    assert count_macs(model, spec) == stem + first + second + third + 32 * 10
    weights = 9 * (3 * 8 + 2 * 64 + 128 + 256 + 512 + 1024) + 128 + 512
    assert count_parameters(model) == weights + 2 * (3 * 8 + 3 * 16 + 3 * 32) + 330


def test_macs_of_a_stem_for_small_images_by_hand():
    """Against the plain model's: the stem sees 1024 pixels instead of 256, all after it 16 times as many."""
    plain, small = colour_spec("torchvision:resnet18"), colour_spec("small:torchvision:resnet18")
    classifier, large_stem, small_stem = 512 * 10, 256 * 49 * 3 * 64, 1024 * 9 * 3 * 64
    trunk = count_macs(build_model(plain), plain) - large_stem - classifier
    assert count_macs(build_model(small), small) == small_stem + 16 * trunk + classifier


@pytest.mark.parametrize("name", ["resnet8x0.5", "small:resnet10t"])
def test_a_seed_decides_the_weights(name):
    first, second, other = (seeded_weights(name, seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(next(iter(first.values())), next(iter(other.values())))


def seeded_weights(name, seed):
    torch.manual_seed(seed)
    return build_model(make_spec(name)).state_dict()


def test_building_leaves_a_fresh_model_in_training_mode():
    model = build_model(make_spec())
    count_macs(model, make_spec())
    assert model.training
    assert all(
        int(module.num_batches_tracked) == 0
        for module in model.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    )


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("resnet9", "resnet8"),
        ("resnet10tt", "resnet10t"),
        ("torchvision:resnet19", "torchvision:resnet18"),
        ("xxxxxxxxxx", "names are timm's"),
        ("resnet9x0.5", "resnet8x0.5"),
        ("resnet18x0.5", "resnet8x0.5"),
        ("torchvision:resnet18.tv_in1k", "torchvision:resnet18"),
        ("resnet8.tag", "resnet8"),
        ("small:resnet10tt", "small:resnet10t"),
        ("small:torchvision:resnet19", "small:torchvision:resnet18"),
        ("small:small:resnet18", "small:resnet18"),
        ("small:", "names are timm's"),
        ("small:resnet8x0.5", "resnet8x0.5 is made for small images as it is"),
        ("resnet8x0.1234", "a width multiplier with at most 3 decimals"),
    ],
)
def test_an_unknown_name_suggests_near_ones(name, suggestion):
    with pytest.raises(ModelError, match=f"no model '{name}'.*{suggestion}"):
        check_model_name(name)


def test_what_is_small_already_is_not_suggested_as_made_small():
    with pytest.raises(ModelError, match="small:resnet10t") as caught:
        check_model_name("small:resnet10tt")
    assert "resnet110" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "resnet8",
        "resnet110x0.5",
        "resnet50.a1_in1k",
        "small:densenet121",
        "small:resnet50.a1_in1k",
        "small:torchvision:densenet121",
    ],
)
def test_a_known_name(name):
    check_model_name(name)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (make_spec("torchvision:resnet18"), "takes 3 channels, the images have 1"),
        (colour_spec("torchvision:vgg11", side=8), "vgg11 can't take 8x8x3 input"),
        (colour_spec("torchvision:inception_v3", side=32), "can't take 32x32x3 input"),
        (colour_spec("vit_tiny_patch16_224", side=8), "8x8x3 input"),
        (colour_spec("small:vit_tiny_patch16_224"), "no model small:vit_tiny_patch16_224; it needs a stem"),
        (make_spec("small:torchvision:resnet18"), "takes 3 channels, the images have 1"),
    ],
    ids=["channels", "vgg11", "inception_v3", "vit", "small vit", "small channels"],
)
def test_an_input_that_does_not_fit(spec, message):
    with pytest.raises(ModelError, match=message):
        build_model(spec)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height": 0}, "height must be a whole number above 0, got 0"),
        ({"num_classes": 2.5}, "num_classes must be a whole number above 0, got 2.5"),
        ({"mean": (0.1, 0.2)}, r"mean must hold 1 values, got \(0.1, 0.2\)"),
        ({"std": (0.0,)}, r"std must be above 0 in every channel, got \(0.0,\)"),
    ],
)
def test_a_spec_checks_itself(settings, message):
    with pytest.raises(ModelError, match=message):
        make_spec(**settings)


def test_a_spec_survives_json():
    spec = colour_spec("resnet10t")
    assert ModelSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_member_is_read_back(member):
    folder, model = member
    loaded, manifest = load_member(folder)
    pixels = torch.randint(0, 256, (3, 8, 8, 1), dtype=torch.uint8)
    assert not loaded.training
    assert manifest["name"] == "member-0"
    with torch.no_grad():
        assert torch.equal(loaded(pixels), model(pixels))


@pytest.mark.parametrize("name", ["resnet8x0.5", "small:resnet10t"])
def test_a_member_of_another_width_or_stem_is_read_back(tmp_path, name):
    spec = make_spec(name)
    model = build_model(spec).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    write_manifest(tmp_path, {"format_version": 1, "model": spec.to_json()})
    pixels = torch.randint(0, 256, (3, 8, 8, 1), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(load_member(tmp_path)[0](pixels), model(pixels))


def test_a_missing_file_is_named(member):
    folder, _ = member
    (folder / "model.safetensors").unlink()
    with pytest.raises(MemberFileError, match=r"model\.safetensors is missing"):
        load_member(folder)
    with pytest.raises(MemberFileError, match=r"member\.json is missing"):
        load_member(folder / "nowhere")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"format_version": 2}, "format_version 2; known is 1"),
        ([], "format_version None; known is 1"),
        ({"format_version": 1}, "describes no model: 'model'"),
        ({"format_version": 1, "model": {"name": "resnet8"}}, "a model is described by"),
        (
            {"format_version": 1, "model": make_spec("resnet14").to_json()},
            "does not hold the weights of this model",
        ),
    ],
    ids=["version", "list", "no model", "short", "other model"],
)
def test_a_manifest_that_does_not_fit(member, manifest, message):
    folder, _ = member
    write_manifest(folder, manifest)
    with pytest.raises(MemberFileError, match=message):
        load_member(folder)


@pytest.mark.parametrize(("file", "message"), [("member.json", "no JSON"), ("model.safetensors", "weights")])
def test_a_broken_file_is_named(member, file, message):
    folder, _ = member
    (folder / file).write_bytes(b"{broken")
    with pytest.raises(MemberFileError, match=f"{file}.*{message}"):
        load_member(folder)
