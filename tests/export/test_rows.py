import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.cascade_file import TensorSpec
from export.errors import RowsError
from export.rows import Feeds, Outputs, Ragged, Rows, read_rows, run_over

NUM_ROWS = 40
SHAPES = np.array([[2], [1], [2], [3]])
WORDS = Ragged(values=np.arange(8), shapes=SHAPES)
"""Rows 0 1, 2, 3 4 and 5 6 7."""


def ragged_rows() -> Rows:
    return Rows(inputs={"words": WORDS, "flag": np.array([7, 8, 9, 10])}, labels=np.zeros(4, np.int64))


def test_ragged_rows_of_one_shape_are_stacked() -> None:
    assert len(WORDS) == 4
    assert WORDS.take(np.array([2, 0])).tolist() == [[3, 4], [0, 1]]
    assert WORDS.take(np.array([3])).tolist() == [[5, 6, 7]]


def test_ragged_rows_have_as_many_dimensions_as_their_shapes_say() -> None:
    images = Ragged(values=np.arange(10), shapes=np.array([[1, 2], [2, 2], [2, 2]]))
    assert images.take(np.array([1, 2])).tolist() == [[[2, 3], [4, 5]], [[6, 7], [8, 9]]]


def test_a_batch_has_every_input_by_its_name() -> None:
    batch = ragged_rows().take(np.array([0, 2]))
    assert {name: array.tolist() for name, array in batch.items()} == {
        "words": [[0, 1], [3, 4]],
        "flag": [7, 9],
    }


def numbers_of(rows: Rows, *arguments: int) -> list[list[int]]:
    return [index.tolist() for index in rows.batches(*arguments)]


def test_batches_of_plain_rows_are_in_their_order() -> None:
    rows = Rows(inputs={"x": np.zeros((5, 2))}, labels=np.zeros(5, np.int64))
    assert numbers_of(rows, 2) == [[0, 1], [2, 3], [4]]
    assert numbers_of(rows, 2, 3) == [[0, 1], [2]]
    assert numbers_of(rows, 9, 9) == [[0, 1, 2, 3, 4]]


def test_batches_hold_rows_of_one_shape() -> None:
    assert numbers_of(ragged_rows(), 8) == [[1], [0, 2], [3]]
    assert numbers_of(ragged_rows(), 1) == [[1], [0], [2], [3]]
    assert numbers_of(ragged_rows(), 8, 2) == [[1], [0]]


def test_shapes_of_all_inputs_count() -> None:
    """Rows 0 and 2 have as many words, and other numbers of pictures."""
    pictures = Ragged(values=np.arange(5), shapes=np.array([[1], [1], [2], [1]]))
    rows = Rows(inputs={"words": WORDS, "pictures": pictures}, labels=np.zeros(4, np.int64))
    assert numbers_of(rows, 8) == [[1], [0], [2], [3]]


def test_outputs_come_in_the_order_of_the_rows() -> None:
    seen = []

    def sums(feeds: Feeds) -> Outputs:
        seen.append(feeds["words"].shape)
        return np.stack([feeds["words"].sum(axis=1), feeds["flag"]], axis=1).astype(np.float32)

    assert run_over(sums, ragged_rows(), 8).tolist() == [[1, 7], [2, 8], [7, 9], [18, 10]]
    assert seen == [(1, 1), (2, 2), (1, 3)]
    assert run_over(sums, ragged_rows(), 1, 3).tolist() == [[1, 7], [2, 8], [7, 9]]


SPECS = (
    TensorSpec(name="numbers", datatype="FP32", shape=(-1, 2)),
    TensorSpec(name="words", datatype="INT64", shape=(-1, -1)),
)
LENGTHS = np.arange(NUM_ROWS) % 2 + 1


def arrays(**changes: Any) -> dict[str, NDArray[Any]]:
    """Forty rows of one or two words, 60 in all. `words_shapes` are `words.shapes`; None drops an array."""
    found: dict[str, Any] = {
        "numbers": np.arange(2 * NUM_ROWS, dtype=np.float32).reshape(NUM_ROWS, 2),
        "words": np.arange(60),
        "words_shapes": LENGTHS[:, None],
        "labels": np.arange(NUM_ROWS) % 3,
    } | changes
    return {name.replace("_shapes", ".shapes"): array for name, array in found.items() if array is not None}


def read(folder: Path, found: Mapping[str, NDArray[Any]], specs: tuple[TensorSpec, ...] = SPECS) -> Rows:
    np.savez(folder / "rows.npz", **found)
    return read_rows(folder / "rows.npz", specs, 3)


def test_a_file_is_read_with_its_ragged_inputs(tmp_path: Path) -> None:
    rows = read(tmp_path, arrays(groups=np.arange(NUM_ROWS, dtype=np.int32) // 2, other=np.array("kept")))
    assert len(rows) == NUM_ROWS
    assert list(rows.inputs) == ["numbers", "words"]
    batch = rows.take(np.array([1, 3]))
    assert batch["numbers"].tolist() == [[2, 3], [6, 7]]
    assert batch["words"].tolist() == [[1, 2], [4, 5]]
    assert rows.labels.tolist() == [0, 1, 2] * 13 + [0]
    assert rows.groups is not None and rows.groups.dtype == np.int64
    assert rows.groups[:5].tolist() == [0, 0, 1, 1, 2]


def test_rows_may_be_of_one_length_and_need_no_shapes_then(tmp_path: Path) -> None:
    rows = read(tmp_path, arrays(words=np.arange(80).reshape(40, 2), words_shapes=None))
    assert rows.take(np.array([3]))["words"].tolist() == [[6, 7]]
    assert rows.groups is None


def test_texts_are_unicode_arrays(tmp_path: Path) -> None:
    spec = TensorSpec(name="text", datatype="BYTES", shape=(-1, 1))
    texts = np.array([["häuser"], ["cat"]] * 20)
    batch = read(tmp_path, {"text": texts, "labels": np.arange(NUM_ROWS) % 2}, (spec,)).take(np.arange(2))
    assert batch["text"].dtype == np.object_
    assert batch["text"].tolist() == [["häuser"], ["cat"]]


def test_texts_may_be_ragged(tmp_path: Path) -> None:
    spec = TensorSpec(name="text", datatype="BYTES", shape=(-1, -1))
    found = {"text": np.array(list("abc") * 20), "text.shapes": LENGTHS[:, None], "labels": LENGTHS}
    assert read(tmp_path, found, (spec,)).take(np.array([3]))["text"].tolist() == [["b", "c"]]


REFUSALS: dict[str, dict[str, Any]] = {
    r"no array 'numbers', which the model takes; there are: words, words\.shapes, labels": {"numbers": None},
    r"no array 'labels'; there are: numbers, words, words\.shapes$": {"labels": None},
    r"numbers is float64, and the model takes FP32": {"numbers": np.zeros((NUM_ROWS, 2))},
    r"words is <U1, and the model takes INT64": {"words": np.array(["a"] * 60)},
    r"numbers has shape \[39, 2\], and there are 40 labels": {"numbers": np.zeros((39, 2), np.float32)},
    r"numbers has shape \[\], and there are 40 labels": {"numbers": np.float32(1)},
    r"numbers: shape \[40, 3\], and the model takes \[-1, 2\]": {"numbers": np.zeros((40, 3), np.float32)},
    r"numbers: shape \[40\], and the model takes \[-1, 2\]": {"numbers": np.zeros(40, np.float32)},
    r"words\.shapes is float64 of shape \[40, 1\], not whole numbers of \[40, 1\]": {
        "words_shapes": np.ones((40, 1))
    },
    r"words\.shapes is int64 of shape \[39, 1\], not whole numbers of \[40, 1\]": {
        "words_shapes": LENGTHS[1:, None]
    },
    r"words\.shapes is int64 of shape \[40\], not whole numbers of \[40, 1\]": {"words_shapes": LENGTHS},
    r"words\.shapes: row \d+ is \[0\], and the model takes \[-1, -1\]": {
        "words_shapes": LENGTHS[:, None] - 1
    },
    r"words holds 59 values, and words\.shapes adds up to 60": {"words": np.arange(59)},
    r"words holds 60 values, and words\.shapes adds up to 60": {"words": np.arange(60).reshape(30, 2)},
    r"labels is float64 \(40,\), not whole numbers \(N,\)": {"labels": np.zeros(40)},
    r"labels is int64 \(40, 1\), not whole numbers": {"labels": np.zeros((40, 1), np.int64)},
    r"labels lie outside 0\.\.2": {"labels": np.arange(NUM_ROWS) % 4},
    r"labels lie outside 0\.\.2$": {"labels": np.arange(NUM_ROWS) % 3 - 1},
    r"groups is <U1 \(40,\), not whole numbers": {"groups": np.array(["g"] * NUM_ROWS)},
    r"groups has 39 entries, and there are 40 labels": {"groups": np.arange(39)},
    r"the rows form a single group, which cannot be divided": {"groups": np.full(NUM_ROWS, 5)},
    r"format_version 2 is unknown; this reads 1": {"format_version": np.int64(2)},
    r"format_version is an array of shape \(1,\), not a number": {"format_version": np.array([1])},
}


@pytest.mark.parametrize("message", REFUSALS)
def test_arrays_that_do_not_fit_are_refused_by_name_and_value(message: str, tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=message) as caught:
        read(tmp_path, arrays(**REFUSALS[message]))
    assert str(caught.value).startswith(f"{tmp_path / 'rows.npz'}: ")


def test_shapes_must_fit_the_extents_that_the_model_fixes(tmp_path: Path) -> None:
    specs = (TensorSpec(name="words", datatype="INT64", shape=(-1, 2)),)
    with pytest.raises(RowsError, match=r"words\.shapes: row \d+ is \[[13]\], and the model takes \[-1, 2\]"):
        read(tmp_path, arrays(), specs)


def test_an_input_without_extents_needs_no_shapes(tmp_path: Path) -> None:
    specs = (TensorSpec(name="age", datatype="INT64", shape=(-1,)),)
    found = {"age": np.arange(NUM_ROWS), "labels": np.arange(NUM_ROWS) % 3}
    assert read(tmp_path, found, specs).take(np.array([2, 0]))["age"].tolist() == [2, 0]
    rows = read(tmp_path, {**found, "age.shapes": np.zeros((NUM_ROWS, 0), np.int64)}, specs)
    assert rows.take(np.array([2, 0]))["age"].tolist() == [2, 0]


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    few = {name: array[:39] for name, array in arrays(words=np.arange(80).reshape(40, 2)).items()}
    del few["words.shapes"]
    with pytest.raises(RowsError, match="39 rows are too few to fit on; at least 40 are needed"):
        read(tmp_path, few)


def test_no_rows_are_too_few(tmp_path: Path) -> None:
    none = {name: array[:0] for name, array in arrays().items()}
    with pytest.raises(RowsError, match="0 rows are too few"):
        read(tmp_path, none)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    with pytest.raises(RowsError, match=r"rows\.npz: no such file"):
        read_rows(path, SPECS, 3)
    for content in (b"", b"PK\x03\x04", b"no archive"):
        path.write_bytes(content)
        with pytest.raises(RowsError, match=r"rows\.npz: not an \.npz of plain arrays"):
            read_rows(path, SPECS, 3)
    np.save(tmp_path / "alone.npy", np.zeros(3))
    with pytest.raises(RowsError, match=r"alone\.npy: not an \.npz of plain arrays"):
        read_rows(tmp_path / "alone.npy", SPECS, 3)


def test_what_else_a_zip_holds_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "rows.npz", "w") as archive:
        archive.writestr("labels", "0 1 2")
    with pytest.raises(RowsError, match=r"not an \.npz of plain arrays \(labels is none\)"):
        read_rows(tmp_path / "rows.npz", SPECS, 3)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    np.savez_compressed(path, allow_pickle=False, **arrays())
    content = bytearray(path.read_bytes())
    content[80:90] = bytes(10)
    path.write_bytes(content)
    with pytest.raises(RowsError, match=r"rows\.npz: not an \.npz of plain arrays"):
        read_rows(path, SPECS, 3)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r"not an \.npz of plain arrays .*allow_pickle"):
        read(tmp_path, arrays(words=np.array([print] * NUM_ROWS, np.object_)))
