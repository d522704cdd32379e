"""True labels of rows that a server has answered, as they become known: a CSV or a Parquet file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.decision_log import arrow
from cascade.errors import FormatError

COLUMNS = ("request_id", "row", "label")
ROWS = 2**31
"""More than a request can have."""


@dataclass(frozen=True)
class Labels:
    """`label[k]` belongs to the row `key[k]`: the place of its request in `requests`, an Arrow array, times
    ROWS, plus its number within the request. Keys ascend. `num_repeated` said what another had said."""

    requests: Any
    key: NDArray[np.int64]
    label: NDArray[np.int64]
    num_repeated: int

    def __len__(self) -> int:
        return len(self.key)

    def places(self, request_id: Any, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of rows by their request's id (an Arrow array) and number: where their labels stand, or -1."""
        known = arrow().compute.index_in(request_id, value_set=self.requests).fill_null(-1)
        request = known.to_numpy(zero_copy_only=False).astype(np.int64)
        key = request * ROWS + row
        place = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[place] == key, place, -1)


def read_labels(file: Path, classes: Sequence[str] | None = None) -> Labels:
    """With `classes`, labels that are text are names of these; else they must be numbers."""
    table = _read(file)
    try:
        columns = {name: _column(table, name) for name in COLUMNS}
        return _labels(columns["request_id"], columns["row"], _numbers(columns["label"], classes))
    except FormatError as error:
        raise FormatError(f"{file}: {error}") from None


def _read(file: Path) -> Any:
    """In a CSV everything is text."""
    pa = arrow()
    if file.suffix not in (".csv", ".parquet"):
        raise FormatError(f"{file}: labels come in a .csv or a .parquet file")
    if not file.is_file():
        raise FormatError(f"{file}: no such file")
    try:
        if file.suffix == ".parquet":
            return pa.parquet.read_table(file)
        types = dict.fromkeys(COLUMNS, pa.string())
        return pa.csv.read_csv(file, convert_options=pa.csv.ConvertOptions(column_types=types))
    except (OSError, pa.ArrowException) as error:
        raise FormatError(f"{file}: cannot be read ({str(error).splitlines()[0]})") from None


def _column(table: Any, name: str) -> Any:
    found = table.column_names.count(name)
    if found != 1:
        problem = "missing" if found == 0 else "there twice"
        raise FormatError(f"column {name!r} is {problem}; a row's are {', '.join(COLUMNS)}")
    if table.num_rows == 0:
        raise FormatError("there are no labels in it")
    column = table.column(name)
    if column.null_count:
        place = column.is_null().to_numpy().argmax()
        raise FormatError(f"column {name!r} is empty in row {place + 1}")
    return column


def _labels(requests: Any, row: Any, label: NDArray[np.int64]) -> Labels:
    pa = arrow()
    coded = requests.cast(pa.string()).combine_chunks().dictionary_encode()
    number = _whole(row, "row", ROWS)
    key = coded.indices.to_numpy().astype(np.int64) * ROWS + number
    order = np.argsort(key, kind="stable")
    key, label = key[order], label[order]
    repeats = np.append(False, key[1:] == key[:-1])
    differs = repeats & np.append(False, label[1:] != label[:-1])
    if differs.any():
        first = int(differs.argmax())
        request, place = divmod(int(key[first]), ROWS)
        said = f"{label[first - 1]} and {label[first]}"
        raise FormatError(f"row {place} of request {coded.dictionary[request]} has two labels, {said}")
    return Labels(coded.dictionary, key[~repeats], label[~repeats], int(repeats.sum()))


def _numbers(column: Any, classes: Sequence[str] | None) -> NDArray[np.int64]:
    """Of classes, as the log has them."""
    pa = arrow()
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if classes is None or not is_text:
        return _whole(column, "label", ROWS if classes is None else len(classes))
    place = pa.compute.index_in(column.cast(pa.string()), value_set=pa.array(list(classes), pa.string()))
    if place.null_count:
        unknown = column[int(place.is_null().to_numpy().argmax())].as_py()
        raise FormatError(f"label {unknown[:80]!r} is no class of the cascade")
    return np.asarray(place.to_numpy(), np.int64)


def _whole(column: Any, name: str, end: int) -> NDArray[np.int64]:
    """Whole numbers from 0 to below `end`, or the first that is none."""
    pa = arrow()
    try:
        numbers = np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)
    except pa.ArrowException as error:
        hint = "; for names give --cascade" if name == "label" else ""
        told = f"{str(error).splitlines()[0]}{hint}"
        raise FormatError(f"column {name!r} must hold whole numbers ({told})") from None
    wrong = (numbers < 0) | (numbers >= end)
    if wrong.any():
        raise FormatError(f"{name} {numbers[wrong.argmax()]} is not one; they are 0 to {end - 1}")
    return numbers
