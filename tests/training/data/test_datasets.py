import hashlib

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from training.data.config import DATASETS, DatasetConfig
from training.data.datasets import LOADERS, Dataset, load_dataset
from training.data.official import Part, make_sources
from training.data.splits import Split
from training.errors import DatasetError

SPLITS = ("train", "validation", "calibration", "test")


def digits(**settings):
    return load_dataset(DatasetConfig(**{"name": "digits", "difficulty": 0.75, "copies": 3} | settings))


@pytest.fixture(scope="module")
def dataset():
    return digits()


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


def test_a_folder_is_read_by_class(tmp_path):
    """Two classes of 10 images each, 6 wide and 4 high: a red one and a blue one."""
    for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / name).mkdir()
        for index in range(10):
            Image.new("RGB", (6, 4), colour).save(tmp_path / name / f"{index}.png")
    dataset = load_dataset(
        DatasetConfig(name="folder", difficulty=0, copies=1, data_root=tmp_path, image_size=(8, 12))
    )
    assert dataset.classes == ("blue", "red")
    assert [len(dataset.splits[name]) for name in SPLITS] == [10, 2, 4, 4]
    for image, label in zip(dataset.test.images, dataset.test.labels, strict=True):
        assert image.shape == (8, 12, 3)
        assert image[0, 0].tolist() == [[0, 0, 200], [200, 0, 0]][label]
    assert dataset.ood.images.shape[1:] == (8, 12, 3)
    assert dataset.skipped == ()


def test_every_data_set_has_a_loader():
    assert set(LOADERS) == set(DATASETS)


def test_other_labels_are_taken_by_the_train_split_alone(tmp_path, dataset):
    """Every digit is called by the next one's name; groups number the images in the bundled order."""
    bundled = load_digits().target
    np.savez(tmp_path / "other.npz", other=(bundled + 1) % 10)
    other = digits(train_labels=tmp_path / "other.npz", train_labels_key="other")
    assert np.array_equal(other.train.labels, (bundled[other.train.groups] + 1) % 10)
    for name in SPLITS:
        assert np.array_equal(other.splits[name].groups, dataset.splits[name].groups)
        assert np.array_equal(other.splits[name].images, dataset.splits[name].images)
    for name in ("validation", "calibration", "test"):
        assert np.array_equal(other.splits[name].labels, bundled[other.splits[name].groups])


def test_other_labels_of_an_official_set_number_its_training_images(tmp_path, monkeypatch):
    """20 training images of two classes, then 4 test images; all training images are called b."""
    images = Part(images=np.zeros((20, 4, 4, 3), np.uint8), labels=np.arange(20) % 2)
    test = Part(images=np.zeros((4, 4, 4, 3), np.uint8), labels=np.zeros(4, np.int64))
    monkeypatch.setitem(
        LOADERS, "cifar10", lambda config: make_sources(images, test, ("a", "b"), config.split_seed)
    )
    settings = {"name": "cifar10", "difficulty": 0, "copies": 1, "data_root": tmp_path}
    np.save(tmp_path / "ones.npy", np.ones(20, np.uint8))
    labelled = load_dataset(DatasetConfig(**settings, train_labels=tmp_path / "ones.npy"))
    assert [sorted(labelled.splits[name].labels) for name in SPLITS] == [[1] * 16, [0, 1], [0, 1], [0] * 4]
    np.save(tmp_path / "ones.npy", np.ones(24, np.uint8))
    with pytest.raises(DatasetError, match=r"one label for each of 20 images, got \(24,\)"):
        load_dataset(DatasetConfig(**settings, train_labels=tmp_path / "ones.npy"))


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)


def made(**changes):
    def split(**arrays):
        return Split(**{"labels": np.array([0, 1]), "images": IMAGES, "groups": np.array([0, 1])} | arrays)

    splits = {name: split(**changes.get(name, {})) for name in (*SPLITS, "ood")}
    return Dataset(classes=("a", "b"), **splits)


def test_a_fingerprint_is_of_shapes_types_and_bytes():
    expected = hashlib.sha256()
    for _ in ("train", "validation"):
        expected.update(b"(2, 2, 2, 3) |u1 " + bytes(range(24)))
        expected.update(b"(2,) <i8 " + bytes([0] * 8 + [1] + [0] * 7))
    assert made().fingerprint == expected.hexdigest()


@pytest.mark.parametrize(
    ("change", "is_seen"),
    [
        ({"train": {"images": IMAGES + 1}}, True),
        ({"train": {"images": IMAGES.reshape(2, 1, 4, 3)}}, True),
        ({"train": {"labels": np.array([1, 0])}}, True),
        ({"train": {"labels": np.array([0, 1], np.int32)}}, True),
        ({"validation": {"images": IMAGES[::-1]}}, True),
        ({"validation": {"labels": np.array([1, 1])}}, True),
        ({"validation": {"images": np.asfortranarray(IMAGES)}}, False),
        ({"train": {"groups": np.array([7, 8])}}, False),
        ({"test": {"images": IMAGES + 1}, "calibration": {"images": IMAGES + 1}}, False),
    ],
)
def test_a_fingerprint_sees_what_is_trained_on(change, is_seen):
    assert (made(**change).fingerprint != made().fingerprint) == is_seen


def test_loading_again_gives_the_same_fingerprint(dataset):
    assert dataset.fingerprint == digits().fingerprint
    assert dataset.fingerprint != digits(max_train_rows=10).fingerprint
