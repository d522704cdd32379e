"""Labels that come later: how rows find theirs, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from cascade.errors import FormatError
from cascade.labels_file import Labels, read_labels


def csv(folder: Path, *lines: str, head: str = "request_id,row,label") -> Path:
    file = folder / "labels.csv"
    file.write_text("\n".join([head, *lines]) + "\n")
    return file


def found(labels: Labels, *rows: tuple[str, int]) -> list[int | None]:
    """The labels of rows."""
    requests = pyarrow.array([request for request, _ in rows], pyarrow.string())
    places = labels.places(requests, np.array([number for _, number in rows], np.int64))
    return [None if place < 0 else int(labels.label[place]) for place in places.tolist()]


def test_rows_find_their_labels_by_request_and_number(tmp_path: Path) -> None:
    labels = read_labels(csv(tmp_path, "b,1,4", "a,0,7", "b,0,3", "007,2,1"))
    rows = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("007", 2), ("7", 2), ("c", 0), ("b", 2)]
    assert found(labels, *rows) == [7, None, 3, 4, 1, None, None, None]
    assert (len(labels), labels.num_repeated) == (4, 0)


def test_requests_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    labels = read_labels(csv(tmp_path, "007,0,1", "7,0,2"))
    assert found(labels, ("007", 0), ("7", 0), ("07", 0)) == [1, 2, None]


def test_further_columns_and_quotes_do_not_matter(tmp_path: Path) -> None:
    file = csv(tmp_path, '9,"a,b",0,by hand', "8,c,0,", head="label,request_id,row,note")
    assert found(read_labels(file), ("a,b", 0), ("c", 0)) == [9, 8]


def test_what_is_said_twice_counts_once_unless_it_differs(tmp_path: Path) -> None:
    labels = read_labels(csv(tmp_path, "a,0,7", "b,0,1", "a,0,7", "a,0,7"))
    assert (len(labels), labels.num_repeated) == (2, 2)
    with pytest.raises(FormatError, match=r"labels\.csv: row 5 of request a has two labels, 7 and 8"):
        read_labels(csv(tmp_path, "b,0,1", "a,5,7", "a,5,8"))


def test_names_are_those_of_the_classes(tmp_path: Path) -> None:
    classes = ("2", "cat", "dog")
    file = csv(tmp_path, "a,0,dog", "a,1,2")
    assert found(read_labels(file, classes), ("a", 0), ("a", 1)) == [2, 0]
    with pytest.raises(FormatError, match=r"labels\.csv: label 'bird' is no class of the cascade"):
        read_labels(csv(tmp_path, "a,0,dog", "a,1,bird"), classes)


def parquet_file(folder: Path, **columns: Any) -> Path:
    file = folder / "labels.parquet"
    given = {"request_id": ["a", "b"], "row": [0, 1], "label": [1, 2], **columns}
    parquet.write_table(pyarrow.table(given), file)
    return file


def test_parquet_keeps_numbers_numbers(tmp_path: Path) -> None:
    assert found(read_labels(parquet_file(tmp_path)), ("a", 0), ("b", 1)) == [1, 2]
    whole = parquet_file(tmp_path, label=[1.0, 2.0], row=pyarrow.array([0, 1], pyarrow.int8()))
    assert found(read_labels(whole, ("x", "y", "z")), ("a", 0), ("b", 1)) == [1, 2]
    assert found(read_labels(parquet_file(tmp_path, request_id=[17, 18])), ("17", 0)) == [1]
    named = parquet_file(tmp_path, label=["y", "x"])
    assert found(read_labels(named, ("x", "y")), ("a", 0), ("b", 1)) == [1, 0]


@pytest.mark.parametrize(
    ("lines", "head", "message"),
    [
        (["a,0,-1"], None, "label -1 is not one; they are 0 to 2147483647"),
        (["a,-1,0"], None, "row -1 is not one"),
        (["a,2147483648,0"], None, "row 2147483648 is not one; they are 0 to 2147483647"),
        (["a,0,cat"], None, "column 'label' must hold whole numbers (Failed to parse string: 'cat'"),
        (["a,first,0"], None, "column 'row' must hold whole numbers (Failed to parse string: 'first'"),
        (["a,0,0.5"], None, "column 'label' must hold whole numbers"),
        (["a,0"], "request_id,row", "column 'label' is missing; a row's are request_id, row, label"),
        (["a,0,1,2"], "request_id,row,label,label", "column 'label' is there twice"),
        (["a,0,1", "b,0"], None, "cannot be read (CSV parse error: Expected 3 columns, got 2"),
        ([], None, "there are no labels in it"),
    ],
)
def test_bad_labels_are_refused_by_name(
    lines: list[str], head: str | None, message: str, tmp_path: Path
) -> None:
    file = csv(tmp_path, *lines, **({} if head is None else {"head": head}))
    with pytest.raises(FormatError) as caught:
        read_labels(file)
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"labels\.txt: labels come in a \.csv or a \.parquet file"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(FormatError, match=r"labels\.csv: no such file"):
        read_labels(tmp_path / "labels.csv")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(FormatError, match=r"broken\.parquet: cannot be read \("):
        read_labels(tmp_path / "broken.parquet")
    with pytest.raises(FormatError, match="column 'label' is empty in row 2"):
        read_labels(parquet_file(tmp_path, label=[1, None]))
    with pytest.raises(FormatError, match="label 2 is not one; they are 0 to 1"):
        read_labels(parquet_file(tmp_path), ("x", "y"))
    with pytest.raises(FormatError, match=r"for names give --cascade"):
        read_labels(parquet_file(tmp_path, label=["x", "y"]))
