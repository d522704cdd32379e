import numpy as np
import pytest
from PIL import Image

from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.errors import DatasetError

SPLITS = ("train", "validation", "calibration", "test")


def digits(**settings):
    return load_dataset(DatasetConfig(**{"name": "digits", "difficulty": 0.75, "copies": 3} | settings))


@pytest.fixture(scope="module")
def dataset():
    return digits()


@pytest.fixture
def folder(tmp_path):
    """Two classes of 10 images each, 6 wide and 4 high: a red one and a blue one."""
    for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / name).mkdir()
        for index in range(10):
            Image.new("RGB", (6, 4), colour).save(tmp_path / name / f"{index}.png")
    return tmp_path


def load_folder(root, image_size=(8, 12)):
    return load_dataset(
        DatasetConfig(name="folder", difficulty=0, copies=1, data_root=root, image_size=image_size)
    )


def test_digits_are_divided_by_source_image(dataset):
    assert {name: len(dataset.splits[name]) for name in SPLITS} == {
        "train": 2694,
        "validation": 540,
        "calibration": 1080,
        "test": 1077,
    }
    sources = [set(dataset.splits[name].groups.tolist()) for name in SPLITS]
    assert len(set.union(*sources)) == sum(map(len, sources)) == 1797


def test_each_source_has_its_copies_and_they_differ(dataset):
    test = dataset.test
    rows = np.flatnonzero(test.groups == test.groups[0])
    assert len(rows) == 3
    assert len(set(test.labels[rows])) == 1
    assert not np.array_equal(test.images[rows[0]], test.images[rows[1]])


def test_without_the_dial_a_row_is_its_source():
    test = digits(difficulty=0, copies=1).test
    again = digits(difficulty=0, copies=2).test
    row = np.flatnonzero(again.groups == test.groups[5])[0]
    assert np.array_equal(test.images[5], again.images[row])
    assert (test.images.max(), test.images.shape[1:], test.images.dtype) == (255, (8, 8, 1), np.uint8)


def test_the_same_seed_gives_the_same_rows(dataset):
    again, other = digits(), digits(split_seed=1)
    for name in (*SPLITS, "ood"):
        assert np.array_equal(dataset.splits[name].images, again.splits[name].images)
        assert not np.array_equal(dataset.splits[name].images, other.splits[name].images)


def test_fewer_train_rows_leave_the_other_splits(dataset):
    short = digits(max_train_rows=10)
    assert np.array_equal(short.train.images, dataset.train.images[:10])
    assert np.array_equal(short.test.images, dataset.test.images)


def test_rows_out_of_distribution_have_no_class_and_few_groups(dataset):
    """Two photographs of 427x640 pixels have 7x10 tiles each."""
    assert dataset.ood.labels is None
    assert dataset.ood.groups.shape == (2000,)
    assert 20 < len(np.unique(dataset.ood.groups)) <= 2 * 7 * 10
    assert dataset.ood.images.shape == (2000, 8, 8, 1)


def test_a_folder_is_read_by_class(folder):
    dataset = load_folder(folder)
    assert dataset.classes == ("blue", "red")
    assert [len(dataset.splits[name]) for name in SPLITS] == [10, 2, 4, 4]
    for image, label in zip(dataset.test.images, dataset.test.labels, strict=True):
        assert image.shape == (8, 12, 3)
        assert image[0, 0].tolist() == [[0, 0, 200], [200, 0, 0]][label]
    assert dataset.ood.images.shape[1:] == (8, 12, 3)


def test_an_unreadable_image_is_named(folder):
    (folder / "red" / "3.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"red/3\.png can't be read"):
        load_folder(folder)


def test_an_image_too_large_to_read_is_named(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(
        DatasetError, match=r"blue/0\.png can't be read as an image: Image size \(24 pixels\)"
    ):
        load_folder(folder)


def test_one_class_is_too_few(folder):
    with pytest.raises(DatasetError, match="holds 0 class folders, at least 2"):
        load_folder(folder / "red")


def test_too_few_images_name_the_class(folder):
    for index in range(2, 10):
        (folder / "blue" / f"{index}.png").unlink()
    with pytest.raises(DatasetError, match="class 'blue' has 2 images"):
        load_folder(folder)


def test_hidden_files_are_left_out(folder):
    (folder / "red" / ".DS_Store").write_bytes(b"")
    (folder / ".cache").mkdir()
    assert sum(len(load_folder(folder).splits[name]) for name in SPLITS) == 20


def test_cifar10_keeps_the_official_test_set(monkeypatch, tmp_path):
    class Official:
        classes = ("a", "b")

        def __init__(self, root, train, download):
            size = 40 if train else 6
            self.targets = [0, 1] * (size // 2)
            self.data = np.full((size, 32, 32, 3), 10 if train else 20, dtype=np.uint8)

    monkeypatch.setattr("training.data.cifar.CIFAR10", Official)
    dataset = load_dataset(DatasetConfig(name="cifar10", difficulty=0, copies=1, data_root=tmp_path))
    assert [len(dataset.splits[name]) for name in SPLITS] == [32, 4, 4, 6]
    assert sorted(dataset.test.groups) == list(range(40, 46))
    assert (dataset.test.images == 20).all()
    assert (dataset.calibration.images == 10).all()


def test_missing_cifar10_says_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match="should hold cifar-10-batches-py/"):
        load_dataset(DatasetConfig(name="cifar10", difficulty=0, copies=1, data_root=tmp_path))
