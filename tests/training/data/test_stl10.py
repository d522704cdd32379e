from pathlib import Path

import numpy as np
import pytest

from training.data.config import DatasetConfig
from training.data.stl10 import load_stl10
from training.errors import DatasetError


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Files of the real format but few rows, so that their check sums must not be looked at."""
    monkeypatch.setattr("torchvision.datasets.stl10.check_integrity", lambda path, md5: Path(path).is_file())
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    write_part(folder, "train", first=0, num_rows=20)
    write_part(folder, "test", first=100, num_rows=4)
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    return tmp_path


def write_part(folder, name, first, num_rows):
    """Row i is red of value first + i, and green in its first line; stored by channel and then by column."""
    planes = np.zeros((num_rows, 3, 96, 96), dtype=np.uint8)
    planes[:, 0] = np.arange(first, first + num_rows)[:, None, None]
    planes[:, 1, :, 0] = 200
    planes.tofile(folder / f"{name}_X.bin")
    (1 + np.arange(num_rows, dtype=np.uint8) % 2).tofile(folder / f"{name}_y.bin")


def load(root):
    return load_stl10(DatasetConfig(name="stl10", difficulty=0, copies=1, data_root=root))


def test_labelled_images_are_read_and_turned_upright(root):
    sources = load(root)
    assert sources.classes == ("airplane", "bird")
    assert sources.images.shape == (24, 96, 96, 3)
    assert sources.images[:, 50, 60, 0].tolist() == [*range(20), *range(100, 104)]
    assert (sources.images[:, 0, :, 1] == 200).all()
    assert (sources.images[:, 1:, :, 1] == 0).all()
    assert sources.labels.tolist() == [0, 1] * 12
    assert sources.labels.dtype == np.int64
    assert {name: len(rows) for name, rows in sources.rows.items()} == {
        "train": 16,
        "validation": 2,
        "calibration": 2,
        "test": 4,
    }
    assert sources.rows["test"].tolist() == [20, 21, 22, 23]


def test_a_label_that_is_no_class_is_refused(root):
    np.array([1, 2, 0, 1], dtype=np.uint8).tofile(root / "stl10_binary" / "test_y.bin")
    with pytest.raises(DatasetError, match="label 255 at position 22: labels must be 0 to 1"):
        load(root)


@pytest.mark.parametrize("name", ["train_X.bin", "test_y.bin", "class_names.txt"])
def test_a_missing_file_says_what_should_be_there(root, name):
    (root / "stl10_binary" / name).unlink()
    with pytest.raises(DatasetError) as caught:
        load(root)
    assert str(caught.value) == (
        f"no intact STL-10 in {root}: it should hold stl10_binary/ with train_X.bin, train_y.bin, "
        "test_X.bin, test_y.bin and class_names.txt; --download fetches it"
    )
