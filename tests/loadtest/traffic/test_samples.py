from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascade.cascade_file import TensorSpec
from loadtest.errors import SamplesError
from loadtest.traffic.samples import read_samples

SPECS = (
    TensorSpec(name="image", datatype="UINT8", shape=(-1, 4, -1, 1)),
    TensorSpec(name="text", datatype="BYTES", shape=(-1,)),
)


def arrays(**changes: Any) -> dict[str, Any]:
    good = {
        "image": np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5, 1),
        "text": np.array(["a", "b", "c"]),
        "labels": np.array([0, 9, 4]),
        "groups": np.array([7, 7, 8]),
        "format_version": np.int64(1),
    }
    return {name: array for name, array in (good | changes).items() if array is not None}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "rows.npz"
    np.savez(path, **arrays(**changes))
    return path


def test_inputs_come_in_the_model_s_order_with_labels_and_groups(tmp_path: Path) -> None:
    samples = read_samples(write(tmp_path), SPECS, 10)
    assert [tensor.name for tensor in samples.inputs] == ["image", "text"]
    assert samples.labels is not None and samples.labels.tolist() == [0, 9, 4]
    assert samples.groups is not None and samples.groups.tolist() == [7, 7, 8]
    image, text = samples.take(np.array([2, 0]))
    assert image.shape == [2, 4, 5, 1]
    assert image.array[0, 0, 0, 0] == 40
    assert text.array.tolist() == ["c", "a"]
    assert samples.bytes_per_row == 20 + 4


def test_rows_out_of_distribution_need_no_labels(tmp_path: Path) -> None:
    samples = read_samples(write(tmp_path, labels=None, groups=None), SPECS, 10, is_labelled=False)
    assert samples.labels is None and samples.groups is None
    assert len(samples) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None}, "no array 'image'.*there are: text, labels"),
        ({"image": np.zeros((3, 4, 5, 1), np.float32)}, "image is float32, and the model takes UINT8"),
        ({"text": np.arange(3)}, "text is int64, and the model takes BYTES"),
        ({"image": np.zeros((3, 8, 5, 1), np.uint8)}, r"shape \[3, 8, 5, 1\] where the model takes \[-1, 4,"),
        ({"image": np.zeros((3, 4, 5), np.uint8)}, r"shape \[3, 4, 5\] where"),
        ({"text": np.array(["a"])}, "differ in their number of rows"),
        ({"groups": np.array([1])}, "differ in their number of rows"),
        ({"labels": None}, "no array 'labels'"),
        ({"labels": np.array([0.0, 1.0, 2.0])}, "labels is float64"),
        ({"labels": np.array([0, 10, 4])}, r"10 \(row 1\) is outside 0..9"),
        ({"labels": np.array([0, 1, -1])}, r"-1 \(row 2\) is outside 0..9"),
        ({"format_version": np.int64(2)}, "format_version 2 is unknown"),
        (
            {"image": np.zeros((0, 4, 5, 1), np.uint8), "text": np.array([], np.str_)}
            | {"labels": np.array([], np.int64), "groups": None},
            "there are no rows",
        ),
        ({"text": np.array([{}, {}, {}])}, "not an .npz of plain arrays"),
    ],
)
def test_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(SamplesError, match=message) as refused:
        read_samples(path, SPECS, 10)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_missing_file_and_one_that_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(SamplesError, match="no such file"):
        read_samples(tmp_path / "none.npz", SPECS, 10)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(SamplesError, match=r"not an \.npz"):
        read_samples(tmp_path / "text.npz", SPECS, 10)
