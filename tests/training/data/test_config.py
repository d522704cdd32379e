from pathlib import Path

import pytest

from training.data.config import AUGMENTATIONS, DATASETS, DatasetConfig
from training.errors import ConfigError

PLAIN = {"difficulty": 0.0, "copies": 1}


def test_every_default_augmentation_is_one():
    assert {defaults.augmentation for defaults in DATASETS.values()} == {"none", "standard"}
    assert list(AUGMENTATIONS) == ["none", "shift", "standard", "resized-crop"]


def test_which_data_sets_can_be_downloaded():
    assert [name for name, defaults in DATASETS.items() if defaults.can_download] == [
        "cifar10",
        "cifar100",
        "stl10",
    ]


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10"])
def test_a_folder_to_download_to_need_not_exist(tmp_path, name):
    DatasetConfig(name=name, data_root=tmp_path / "new", download=True, **PLAIN)
    with pytest.raises(ConfigError, match="data_root must be an existing folder"):
        DatasetConfig(name=name, data_root=tmp_path / "new", **PLAIN)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "folder", "image_size": (8, 8), "download": True},
            "--download is for dataset cifar10, cifar100, stl10, not folder",
        ),
        (
            {"name": "stl10", "image_size": (96, 96)},
            "dataset stl10 has its own size and takes no --image-size",
        ),
        ({"name": "cifar100", "skip_bad": True}, "--skip-bad is for dataset folder, not cifar100"),
        (
            {"name": "folder", "image_size": (8, 8), "train_labels": Path("other.npy")},
            "dataset folder has no fixed order of images and takes no --train-labels, got other.npy",
        ),
        (
            {"name": "cifar10", "train_labels_key": "worse_label"},
            "train_labels_key worse_label has no meaning without --train-labels",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, settings, message):
    with pytest.raises(ConfigError) as caught:
        DatasetConfig(data_root=tmp_path, **PLAIN, **settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["cifar100", "stl10"])
def test_files_must_be_somewhere(name):
    with pytest.raises(ConfigError, match=f"dataset {name} is read from files"):
        DatasetConfig(name=name, **PLAIN)
