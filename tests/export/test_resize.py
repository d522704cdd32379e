"""Images of other sizes, resized within the graph."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from cascade.cascade_file import read_cascade
from cascade.scores_file import read_scores
from export.cli import main
from export.inference import open_session
from tests.export.conftest import OPTIONS, calibration_images, torch_logits
from tests.servers import serving


@pytest.fixture(scope="module")
def repository(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resized") / "models"
    assert main([str(run_folder), "--repository", str(folder), *OPTIONS, "--resize"]) == 0
    return folder


def logits(repository: Path, images: np.ndarray) -> np.ndarray:
    session = open_session(repository / "digits-0" / "1" / "model.onnx")
    return np.asarray(session.run(["logits"], {"image": images})[0])


def resized(images: np.ndarray, height: int, width: int) -> np.ndarray:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    size = interpolate(pixels, size=(height, width), mode="bilinear", antialias=True)
    return size.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def test_the_wire_takes_any_height_and_width(repository: Path) -> None:
    (spec,) = read_cascade(repository / "digits.cascade.json").inputs
    assert (spec.name, spec.datatype, spec.shape) == ("image", "UINT8", (-1, -1, -1, 1))
    config = (repository / "digits-0" / "config.pbtxt").read_text()
    assert "dims: -1\n  dims: -1\n  dims: 1" in config


def test_images_of_the_models_own_size_are_not_touched(
    repository: Path, published: Path, run_folder: Path
) -> None:
    images = calibration_images(run_folder)
    expected = torch_logits(run_folder / "member-0", images)
    np.testing.assert_allclose(logits(repository, images), expected, atol=1e-4, rtol=0)
    outputs = [read_scores(folder / "digits.scores.npz").outputs for folder in (repository, published)]
    np.testing.assert_allclose(*outputs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(16, 16), (32, 24), (5, 8)])
def test_other_sizes_are_as_torch_resizes_them(
    repository: Path, run_folder: Path, size: tuple[int, int]
) -> None:
    images = resized(calibration_images(run_folder)[:32], *size)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    back = interpolate(pixels, size=(8, 8), mode="bilinear", antialias=True)
    expected = torch_logits(run_folder / "member-0", back.permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(logits(repository, images), expected, atol=2e-3, rtol=0)


def test_images_of_several_sizes_are_served(repository: Path, run_folder: Path) -> None:
    import tritonclient.http as triton

    images = calibration_images(run_folder)[:6]
    with serving(repository) as server, triton.InferenceServerClient(server.http) as client:
        for size in ((8, 8), (16, 20), (31, 9)):
            sent = resized(images, *size)
            tensor = triton.InferInput("image", list(sent.shape), "UINT8").set_data_from_numpy(sent)
            answer = client.infer("digits", [tensor], parameters={"policy": "first"})
            np.testing.assert_array_equal(answer.as_numpy("label"), logits(repository, sent).argmax(axis=1))
