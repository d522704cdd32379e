from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.lib.format import write_array_header_1_0

from training.data.labels import check_labels, read_labels
from training.errors import DatasetError


def read(path, key=None):
    return read_labels(path, key, num_rows=4, num_classes=3)


@pytest.fixture
def several(tmp_path):
    np.savez(tmp_path / "several.npz", worse=np.array([2, 1, 0, 0]), better=np.array([2, 2, 0, 0]))
    return tmp_path / "several.npz"


def refused(path, key=None):
    with pytest.raises(DatasetError) as caught:
        read(path, key)
    message = str(caught.value)
    assert str(path) in message
    return message.replace(str(path), "FILE")


def saved(tmp_path, values):
    np.save(tmp_path / "labels.npy", np.asarray(values))
    return tmp_path / "labels.npy"


def test_an_array_is_picked_by_its_key(several):
    assert read(several, "worse").tolist() == [2, 1, 0, 0]
    assert read(several, "better").tolist() == [2, 2, 0, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_a_single_array_needs_no_key_and_any_integers_do(tmp_path, dtype):
    labels = read(saved(tmp_path, np.array([0, 2, 1, 0], dtype=dtype)))
    assert labels.tolist() == [0, 2, 1, 0]
    assert labels.dtype == np.int64


def test_keys_that_are_missing_or_unknown_list_what_there_is(several):
    assert refused(several) == "FILE holds arrays by name, choose one with --train-labels-key: worse, better"
    assert refused(several, "best") == "FILE holds no array 'best': there is worse, better"


def test_a_key_for_a_single_array_is_refused(tmp_path):
    path = saved(tmp_path, [0, 1, 2, 0])
    assert refused(path, "x") == "FILE holds one array without a name: leave out --train-labels-key x"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1, 2], "FILE must hold one label for each of 4 images, got (3,)"),
        ([[0], [1], [2], [0]], "FILE must hold one label for each of 4 images, got (4, 1)"),
        ([0.0, 1.0, 2.0, 0.0], "FILE must hold integer labels, got float64"),
        ([True, False, True, True], "FILE must hold integer labels, got bool"),
        ([0, 3, 1, 7], "FILE has label 3 at position 1: labels must be 0 to 2"),
        ([0, 1, 2, -1], "FILE has label -1 at position 3: labels must be 0 to 2"),
    ],
)
def test_what_is_no_label_is_named(tmp_path, values, message):
    assert refused(saved(tmp_path, values)) == message


def test_a_label_beyond_int64_is_not_wrapped(tmp_path):
    path = saved(tmp_path, np.array([0, 1, 2, 2**64 - 1], dtype=np.uint64))
    assert "has label 18446744073709551615 at position 3" in refused(path)


def test_files_that_are_missing_or_something_else(tmp_path):
    assert refused(tmp_path / "none.npy") == "there is no file of labels FILE"
    assert refused(tmp_path).startswith("FILE can't be read as labels")
    for name, content in (("text", b"0 1 2 0"), ("empty", b""), ("cut", b"PK\x03\x04 cut short")):
        (tmp_path / name).write_bytes(content)
        assert refused(tmp_path / name).startswith("FILE can't be read as labels")


def test_damage_within_an_archive_is_found(several):
    content = bytearray(several.read_bytes())
    content[160:170] = b"\xff" * 10
    several.write_bytes(content)
    assert refused(several, "worse").startswith("FILE can't be read as labels")


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_nothing_is_unpickled(tmp_path, suffix):
    """The header says that objects follow; what follows is no pickle even."""
    path = tmp_path / f"objects.{suffix}"
    content = BytesIO()
    write_array_header_1_0(content, {"descr": "|O", "fortran_order": False, "shape": (4,)})
    content.write(b"anything")
    if suffix == "npy":
        path.write_bytes(content.getvalue())
    else:
        with ZipFile(path, "w") as archive:
            archive.writestr("labels.npy", content.getvalue())
    key = None if suffix == "npy" else "labels"
    assert refused(path, key) == "FILE can't be read as labels: it is no whole .npy or .npz of numbers"


def test_the_first_bad_label_is_named():
    check_labels(np.array([0, 4, 2]), 5, "the data set")
    with pytest.raises(DatasetError, match=r"the data set has label 9 at position 1: labels must be 0 to 4"):
        check_labels(np.array([0, 9, -2]), 5, "the data set")
