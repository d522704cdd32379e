"""Samples: which rows of a file are offered, to which cascades, and what no cascade takes."""

import base64
import json
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascade.cascade_file import TensorSpec
from serving.console.samples import NUM_SAMPLES, read_samples
from serving.errors import StartupError
from tests.repositories import Repository


def test_rows_are_taken_evenly_over_the_file(offering: str, repository: Repository) -> None:
    with urllib.request.urlopen(f"{offering}/v2/console/samples/digits") as response:
        offered = json.load(response)["samples"]
    test = repository.test
    rows = [number * len(test.labels) // NUM_SAMPLES for number in range(NUM_SAMPLES)]
    sent = np.frombuffer(base64.b64decode(offered["data"]), np.uint8).reshape(offered["shape"])
    np.testing.assert_array_equal(sent, test.image[rows])
    assert offered["labels"] == test.labels[rows].tolist()
    assert (offered["input"], offered["shape"]) == ("image", [NUM_SAMPLES, 8, 8, 1])


def test_a_small_file_is_offered_whole_and_needs_no_labels(repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "few.npz"
    np.savez(path, image=repository.test.image[:5])
    offered = read_samples(path, [repository.cascade]).of(repository.cascade)
    assert offered is not None
    assert (offered["shape"], offered["labels"]) == ([5, 8, 8, 1], None)


def test_a_cascade_of_other_inputs_is_offered_none(samples_file: Path, repository: Repository) -> None:
    known = repository.cascade
    samples = read_samples(samples_file, [known])
    specs = [
        (TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, 9, 1)),),
        (TensorSpec(name="image", datatype="FP32", shape=(-1, 8, 8, 1)),),
        (TensorSpec(name="other", datatype="UINT8", shape=(-1, 8, 8, 1)),),
        (*known.inputs, TensorSpec(name="second", datatype="UINT8", shape=(-1, 8, 8, 1))),
    ]
    others = [replace(known, inputs=inputs, members=_taking(known.members, inputs)) for inputs in specs]
    assert [samples.of(other) for other in others] == [None] * 4
    assert samples.of(replace(known, inputs=(replace(known.inputs[0], shape=(-1, -1, -1, 1)),))) is not None


def _taking(members, inputs):  # type: ignore[no-untyped-def]
    return tuple(replace(member, inputs={spec.name: spec.name for spec in inputs}) for member in members)


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels": np.arange(4)},
        {"image": np.zeros((4, 9, 9, 1), np.uint8)},
        {"image": np.zeros((4, 8, 8, 1), np.float32)},
        {"image": np.zeros((0, 8, 8, 1), np.uint8)},
    ],
)
def test_a_file_that_no_cascade_takes_is_refused(
    arrays: dict[str, np.ndarray], repository: Repository, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, **arrays)
    with pytest.raises(StartupError, match=r"wrong.npz: holds no UINT8 rows .* \(as image\)"):
        read_samples(path, [repository.cascade])


@pytest.mark.parametrize("content", [b"", b"PK nothing of the kind", None])
def test_what_is_no_npz_is_refused(content: bytes | None, repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "wrong.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StartupError, match=r"wrong.npz: cannot be read as .npz"):
        read_samples(path, [repository.cascade])


@pytest.mark.parametrize("labels", [np.arange(3), np.int64(4), np.zeros((4, 2), int), np.array(["one"] * 4)])
def test_labels_that_are_not_of_the_rows_are_refused(
    labels: np.ndarray, repository: Repository, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, image=repository.test.image[:4], labels=labels)
    with pytest.raises(StartupError, match=r"wrong.npz: labels are not one whole number for each row"):
        read_samples(path, [repository.cascade])
