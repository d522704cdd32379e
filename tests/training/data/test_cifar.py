import pickle
from pathlib import Path

import numpy as np
import pytest

from training.data.cifar import load_cifar
from training.data.config import DatasetConfig
from training.errors import DatasetError

TEST_FILES = {"cifar10": "test_batch", "cifar100": "test"}


def write_batch(path, label_key, first, num_rows):
    """Row i is red of value first + i, green but for its first line, and has label i % 2."""
    planes = np.zeros((num_rows, 3, 32, 32), dtype=np.uint8)
    planes[:, 0] = np.arange(first, first + num_rows)[:, None, None]
    planes[:, 1, 1:] = 200
    path.write_bytes(
        pickle.dumps({"data": planes.reshape(num_rows, -1), label_key: [i % 2 for i in range(num_rows)]})
    )


def write_cifar10(root):
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for number in range(5):
        write_batch(folder / f"data_batch_{number + 1}", "labels", first=8 * number, num_rows=8)
    write_batch(folder / "test_batch", "labels", first=100, num_rows=6)
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["cat", "dog"]}))


def write_cifar100(root):
    folder = root / "cifar-100-python"
    folder.mkdir()
    write_batch(folder / "train", "fine_labels", first=0, num_rows=40)
    write_batch(folder / "test", "fine_labels", first=100, num_rows=6)
    names = {"fine_label_names": ["cat", "dog"], "coarse_label_names": ["animal"]}
    (folder / "meta").write_bytes(pickle.dumps(names))


WRITERS = {"cifar10": write_cifar10, "cifar100": write_cifar100}


def load(name, root):
    return load_cifar(DatasetConfig(name=name, difficulty=0, copies=1, data_root=root))


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request, monkeypatch):
    """Files of the real format but few rows, so that their check sums must not be looked at."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5: Path(path).is_file())
    return request.param


def test_both_are_read_in_the_order_of_their_files(tmp_path, name):
    WRITERS[name](tmp_path)
    sources = load(name, tmp_path)
    assert sources.classes == ("cat", "dog")
    assert sources.images.shape == (46, 32, 32, 3)
    assert sources.images[:, 5, 7, 0].tolist() == [*range(40), *range(100, 106)]
    assert (sources.images[:, 0, :, 1] == 0).all()
    assert (sources.images[:, 1:, :, 1] == 200).all()
    assert sources.labels.tolist() == [0, 1] * 23
    assert sources.rows["test"].tolist() == list(range(40, 46))
    assert sources.num_divided == 40


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_files_with_other_check_sums_are_not_intact(tmp_path, name):
    WRITERS[name](tmp_path)
    with pytest.raises(DatasetError, match="no intact CIFAR-10"):
        load(name, tmp_path)


def test_a_missing_file_says_what_should_be_there(tmp_path, name):
    WRITERS[name](tmp_path)
    next(tmp_path.glob(f"*/{TEST_FILES[name]}")).unlink()
    with pytest.raises(DatasetError) as caught:
        load(name, tmp_path)
    contents = {
        "cifar10": "no intact CIFAR-10 in ROOT: it should hold cifar-10-batches-py/ with data_batch_1 to "
        "data_batch_5, test_batch and batches.meta; --download fetches it",
        "cifar100": "no intact CIFAR-100 in ROOT: it should hold cifar-100-python/ with train, test and "
        "meta; --download fetches it",
    }
    assert str(caught.value) == contents[name].replace("ROOT", str(tmp_path))
