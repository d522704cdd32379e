import numpy as np
import pytest
from PIL import Image

from training.data.config import DatasetConfig
from training.data.datasets import load_dataset
from training.data.folder import load_folder
from training.data.splits import FRACTIONS, divide
from training.errors import DatasetError

SPLITS = ("train", "validation", "calibration", "test")


def write_class(folder, num_images, colour):
    """Image i is 6 wide and 4 high, with i as its blue; names sort as numbers do."""
    folder.mkdir(parents=True)
    for index in range(num_images):
        Image.new("RGB", (6, 4), (*colour, index)).save(folder / f"{index:02}.png")


def write_classes(root, num_images, green=0):
    for name, red in (("cat", 50), ("dog", 250)):
        write_class(root / name, num_images, (red, green))


def load(root, **settings):
    return load_folder(
        DatasetConfig(
            **{"name": "folder", "difficulty": 0, "copies": 1, "data_root": root, "image_size": (8, 12)}
            | settings
        )
    )


def refused(root, **settings):
    with pytest.raises(DatasetError) as caught:
        load(root, **settings)
    return str(caught.value).replace(str(root), "ROOT")


def sizes(sources):
    return {name: len(rows) for name, rows in sources.rows.items()}


@pytest.fixture
def plain(tmp_path):
    """One folder per class."""
    write_classes(tmp_path, 10)
    return tmp_path


@pytest.fixture
def split(tmp_path):
    """Three ready-made splits, told apart by their green; calibration isn't there."""
    for number, (name, num_images) in enumerate([("train", 20), ("val", 3), ("test", 5)]):
        write_classes(tmp_path / name, num_images, green=10 * number)
    return tmp_path


def test_images_are_read_class_by_class(plain):
    sources = load(plain)
    assert sources.classes == ("cat", "dog")
    assert sources.labels.tolist() == [0] * 10 + [1] * 10
    assert sources.images.shape == (20, 8, 12, 3)
    assert sources.images[:, 3, 3, 0].tolist() == [50] * 10 + [250] * 10
    assert sources.images[:, 3, 3, 2].tolist() == [*range(10), *range(10)]
    assert sources.skipped == ()
    assert sources.num_divided == 20


def test_without_ready_made_splits_all_is_divided_by_the_seed(plain):
    expected = divide(np.repeat([0, 1], 10), ("cat", "dog"), FRACTIONS, seed=5)
    rows = load(plain, split_seed=5).rows
    assert list(rows) == list(SPLITS)
    assert all(np.array_equal(rows[name], expected[name]) for name in SPLITS)


def test_ready_made_splits_are_kept_and_the_missing_one_comes_off_train(split):
    sources = load(split)
    assert sizes(sources) == {"train": 28, "validation": 6, "calibration": 12, "test": 10}
    assert list(sources.rows) == list(SPLITS)
    greens = {name: set(sources.images[rows, 0, 0, 1].tolist()) for name, rows in sources.rows.items()}
    assert greens == {"train": {0}, "calibration": {0}, "validation": {10}, "test": {20}}
    divided = np.concatenate([sources.rows["train"], sources.rows["calibration"]])
    assert sorted(divided) == list(range(40))
    assert sources.num_divided == 40
    for name, rows in sources.rows.items():
        expected = np.where(sources.images[rows, 0, 0, 0] == 50, 0, 1)
        assert np.array_equal(sources.labels[rows], expected), name


def test_the_usual_fractions_are_renormalised(tmp_path):
    """Without calibration and test folders: .5, .2 and .2 of .9."""
    write_classes(tmp_path / "train", 18)
    write_classes(tmp_path / "validation", 1)
    assert sizes(load(tmp_path)) == {"train": 20, "validation": 2, "calibration": 8, "test": 8}


def test_a_train_folder_alone_is_divided_as_a_whole(tmp_path):
    write_classes(tmp_path / "train", 10)
    assert sizes(load(tmp_path)) == {"train": 10, "validation": 2, "calibration": 4, "test": 4}


def test_with_all_four_splits_nothing_is_divided(split):
    write_classes(split / "calibration", 2, green=90)
    sources = load(split)
    assert sizes(sources) == {"train": 40, "validation": 6, "calibration": 4, "test": 10}
    assert sources.rows["train"].tolist() == list(range(40))
    assert (sources.images[sources.rows["calibration"], 0, 0, 1] == 90).all()


def test_classes_may_be_called_train_and_test(tmp_path):
    for name in ("train", "test"):
        write_class(tmp_path / name, 10, (0, 0))
    assert load(tmp_path).classes == ("test", "train")


def test_beside_other_classes_train_is_a_class(plain):
    write_class(plain / "train", 10, (0, 0))
    (plain / "train" / "steam").mkdir()
    sources = load(plain, skip_bad=True)
    assert sources.classes == ("cat", "dog", "train")
    assert sources.skipped == ("train/steam: Is a directory",)


def test_files_and_hidden_folders_beside_the_splits_are_left_out(split):
    (split / "README.md").write_text("cats and dogs")
    (split / ".cache").mkdir()
    (split / "train" / ".cache").mkdir()
    (split / "val" / "list.txt").write_text("00.png")
    assert sizes(load(split)) == {"train": 28, "validation": 6, "calibration": 12, "test": 10}


def test_two_names_of_one_split_are_refused(split):
    write_classes(split / "validation", 1)
    assert refused(split) == "ROOT holds both validation and val: only one can be the validation split"


def test_other_classes_in_a_split_are_named(split):
    (split / "val" / "dog").rename(split / "val" / "wolf")
    assert refused(split) == (
        "split validation in ROOT/val has other classes than train: missing dog, extra wolf"
    )


def test_a_ready_made_split_has_images_of_every_class(split):
    for path in (split / "test" / "dog").iterdir():
        path.unlink()
    assert refused(split) == "class 'dog' has no image that can be read in ROOT/test"


def test_one_class_is_too_few(plain, split):
    assert refused(plain / "cat") == "ROOT holds 0 class folders, at least 2 are needed"


def test_too_few_images_are_found_out_before_any_is_read(plain):
    for index in range(2, 10):
        (plain / "dog" / f"{index:02}.png").unlink()
    (plain / "cat" / "00.png").write_bytes(b"no image")
    assert refused(plain) == "class 'dog' has 2 images, too few for a validation split"


def test_hidden_files_are_left_out(plain):
    (plain / "dog" / ".DS_Store").write_bytes(b"")
    (plain / ".cache").mkdir()
    assert len(load(plain).images) == 20


def test_unreadable_images_are_named_all_at_once(plain):
    (plain / "dog" / "03.png").write_bytes(b"no image")
    (plain / "cat" / "sub").mkdir()
    assert refused(plain) == (
        "2 of 21 files in ROOT can't be read as images, --skip-bad leaves them out: "
        "cat/sub: Is a directory; dog/03.png: not an image of a known format"
    )


def test_of_many_unreadable_images_the_first_are_named(plain):
    for index in range(7):
        (plain / "dog" / f"{index:02}.png").write_bytes(b"no image")
    message = refused(plain)
    assert message.startswith("7 of 20 files in ROOT can't be read")
    assert message.endswith("dog/04.png: not an image of a known format; ...")
    assert "dog/05.png" not in message


def test_bad_images_can_be_left_out(plain):
    (plain / "cat" / "01.png").write_bytes(b"no image")
    (plain / "dog" / "09.png").write_bytes(b"")
    sources = load(plain, skip_bad=True)
    assert sources.skipped == (
        "cat/01.png: not an image of a known format",
        "dog/09.png: not an image of a known format",
    )
    assert sources.labels.tolist() == [0] * 9 + [1] * 9
    assert sources.images[:, 3, 3, 2].tolist() == [0, *range(2, 10), *range(9)]
    assert sources.num_divided == 18
    assert sorted(np.concatenate(list(sources.rows.values()))) == list(range(18))


def test_bad_images_of_ready_made_splits_can_be_left_out(split):
    (split / "train" / "cat" / "05.png").write_bytes(b"no image")
    (split / "test" / "dog" / "00.png").write_bytes(b"no image")
    sources = load(split, skip_bad=True)
    assert sources.num_divided == 39
    assert sources.images[sources.rows["test"], 0, 0].tolist() == [
        *([50, 20, index] for index in range(5)),
        *([250, 20, index] for index in range(1, 5)),
    ]
    assert sources.skipped == (
        "train/cat/05.png: not an image of a known format",
        "test/dog/00.png: not an image of a known format",
    )


def test_a_class_that_keeps_no_image_is_refused(plain):
    for path in (plain / "dog").iterdir():
        path.write_bytes(b"no image")
    assert refused(plain, skip_bad=True) == "class 'dog' has no image that can be read in ROOT"


def test_skipping_nothing_changes_nothing(plain):
    strict, lenient = load(plain), load(plain, skip_bad=True)
    assert np.array_equal(strict.images, lenient.images)
    assert lenient.skipped == ()


def test_what_was_skipped_is_told_by_the_data_set(plain):
    (plain / "cat" / "01.png").write_bytes(b"no image")
    config = DatasetConfig(
        name="folder", difficulty=0, copies=1, data_root=plain, image_size=(8, 8), skip_bad=True
    )
    assert load_dataset(config).skipped == ("cat/01.png: not an image of a known format",)
