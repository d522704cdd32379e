from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cascade.scores_file import read_scores
from tests.export.conftest import calibration_images


def test_scores_are_the_published_files_own_outputs(published: Path, run_folder: Path) -> None:
    scores = read_scores(published / "digits.scores.npz")
    images = calibration_images(run_folder)
    assert (scores.kind, scores.names, scores.macs) == ("logits", ("digits-0", "digits-1"), (763520, 763520))
    for index, name in enumerate(scores.names):
        file = published / name / "1" / "model.onnx"
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(
            scores.outputs[index], session.run(None, {"image": images})[0], atol=1e-6, rtol=0
        )
        assert scores.sha256[index] == sha256(file.read_bytes()).hexdigest()
    assert np.abs(scores.outputs[0] - scores.outputs[1]).max() > 0.1


def test_labels_and_groups_are_the_splits(published: Path, run_folder: Path) -> None:
    scores = read_scores(published / "digits.scores.npz")
    with np.load(run_folder / "splits" / "calibration.npz") as split:
        np.testing.assert_array_equal(scores.labels, split["labels"])
        assert scores.groups is not None
        np.testing.assert_array_equal(scores.groups, split["groups"])


def test_probabilities_stand_beside_the_logits(published: Path) -> None:
    with np.load(published / "digits.scores.npz") as arrays:
        assert {name: arrays[name].dtype.str for name in ("probabilities", "logits", "labels", "macs")} == {
            "probabilities": "<f4",
            "logits": "<f4",
            "labels": "<i8",
            "macs": "<f8",
        }
        assert int(arrays["format_version"]) == 1
        exponentials = np.exp(arrays["logits"][1, 3].astype(np.float64))
        assert arrays["probabilities"][1, 3].tolist() == pytest.approx(
            (exponentials / exponentials.sum()).tolist(), rel=1e-6
        )
