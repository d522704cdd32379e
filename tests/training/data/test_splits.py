import numpy as np
import pytest

from training.data.splits import FRACTIONS, Split, divide, write_split
from training.errors import DatasetError

LABELS = np.repeat([0, 1, 2], [100, 40, 60])
CLASSES = ("a", "b", "c")


def test_splits_are_disjoint_and_whole():
    rows = np.concatenate(list(divide(LABELS, CLASSES, FRACTIONS, seed=0).values()))
    assert sorted(rows) == list(range(200))


def test_every_class_is_shared_out_alike():
    shares = {
        name: np.bincount(LABELS[rows]).tolist()
        for name, rows in divide(LABELS, CLASSES, FRACTIONS, seed=0).items()
    }
    assert shares == {
        "train": [50, 20, 30],
        "validation": [10, 4, 6],
        "calibration": [20, 8, 12],
        "test": [20, 8, 12],
    }


def test_the_seed_decides():
    first, same, other = (divide(LABELS, CLASSES, FRACTIONS, seed)["test"] for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_too_few_images_names_the_class():
    with pytest.raises(DatasetError, match="class 'b' has 2 images, too few for a validation split"):
        divide(np.array([0] * 20 + [1] * 2), ("a", "b"), FRACTIONS, seed=0)


def test_a_file_holds_rows_as_on_the_wire(tmp_path):
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
    split = Split(images=images, labels=np.array([3, 4]), groups=np.array([7, 7]))
    write_split(tmp_path / "x.npz", split)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert np.array_equal(file["image"], images)
        assert file["image"].dtype == np.uint8
        assert file["labels"].tolist() == [3, 4]
        assert file["labels"].dtype == np.int64
        assert file["groups"].tolist() == [7, 7]
        assert (int(file["format_version"]), file["format_version"].dtype) == (1, np.int64)


def test_rows_out_of_distribution_have_no_labels(tmp_path):
    write_split(
        tmp_path / "x.npz",
        Split(images=np.zeros((1, 2, 2, 1), np.uint8), labels=None, groups=np.array([0])),
    )
    with np.load(tmp_path / "x.npz") as file:
        assert sorted(file) == ["format_version", "groups", "image"]
