from http.client import IncompleteRead
from urllib.error import URLError

import numpy as np
import pytest

from training.data.config import DatasetConfig
from training.data.official import Part, make_sources, reading
from training.data.splits import divide
from training.errors import DatasetError


def part(num_rows, first):
    """Images of 2x3 pixels, each of one value, laid out as in the files: channels first."""
    values = np.arange(first, first + num_rows, dtype=np.uint8)
    channels_first = np.ascontiguousarray(np.broadcast_to(values[:, None, None, None], (num_rows, 3, 2, 3)))
    return Part(images=channels_first.transpose(0, 2, 3, 1), labels=np.arange(num_rows) % 2)


def test_the_official_test_set_is_the_test_split_and_the_rest_is_divided():
    sources = make_sources(part(40, first=0), part(6, first=100), ("a", "b"), split_seed=3)
    assert {name: len(rows) for name, rows in sources.rows.items()} == {
        "train": 32,
        "validation": 4,
        "calibration": 4,
        "test": 6,
    }
    expected = divide(
        np.arange(40) % 2, ("a", "b"), {"train": 0.8, "validation": 0.1, "calibration": 0.1}, seed=3
    )
    assert all(np.array_equal(sources.rows[name], rows) for name, rows in expected.items())
    assert sources.images[sources.rows["test"], 1, 2, 0].tolist() == list(range(100, 106))
    assert sources.images[:40, 0, 0, 2].tolist() == list(range(40))
    assert sources.labels.tolist() == [0, 1] * 23
    assert sources.num_divided == 40


def test_images_are_laid_out_as_they_are_indexed():
    images = make_sources(part(20, first=0), part(2, first=0), ("a", "b"), split_seed=0).images
    assert images.flags.c_contiguous


@pytest.mark.parametrize("error", [RuntimeError("corrupted"), URLError("no route"), IncompleteRead(b"")])
@pytest.mark.parametrize(
    ("download", "message"),
    [
        (False, "no intact NAMES in ROOT: it should hold names/ with a and b; --download fetches it"),
        (True, "NAMES could not be downloaded to ROOT: {error}"),
    ],
)
def test_an_error_tells_what_should_be_there(tmp_path, error, download, message):
    config = DatasetConfig(name="stl10", difficulty=0, copies=1, data_root=tmp_path, download=download)
    with pytest.raises(DatasetError) as caught, reading(config, "NAMES", "names/ with a and b"):
        raise error
    assert str(caught.value) == message.format(error=error).replace("ROOT", str(tmp_path))
