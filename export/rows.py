"""Labelled rows of any named inputs, and runs over them.

A samples file is an `.npz` with each input under its name, `labels` int64 (N,), and optionally `groups` int64
(N,), rows of one group being copies of one source. An input whose rows differ in shape is stored flat, all
values one after another, beside `NAME.shapes` int64 (N, rank - 1), the shape of each row.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import TensorSpec
from cascade.fitting.placement import MIN_ROWS
from export.errors import RowsError

FORMAT_VERSION = 1
SHAPES = ".shapes"

Array = NDArray[Any]
Feeds = Mapping[str, Array]
Outputs = NDArray[np.floating]
Classifier = Callable[[Feeds], Outputs]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
}
STRINGS = "BYTES"


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """Rows of unequal shapes: `values` (all elements), `shapes` int64 (N, rank - 1)."""

    values: Array
    shapes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.shapes)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum(self.shapes.prod(axis=1))

    def take(self, index: NDArray[np.intp]) -> Array:
        """Rows of one shape, stacked."""
        shape = self.shapes[index[0]]
        size = int(shape.prod())
        rows = [self.values[self._ends[row] - size : self._ends[row]] for row in index]
        return np.stack(rows).reshape(len(index), *shape)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """`inputs` by the cascade's names, `labels` int64 (N,), `groups` int64 (N,) or None."""

    inputs: Mapping[str, Array | Ragged]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.intp]) -> Feeds:
        """Rows, which must be of one shape, as a batch."""
        return {
            name: array.take(index) if isinstance(array, Ragged) else array[index]
            for name, array in self.inputs.items()
        }

    def batches(self, batch_size: int, num_rows: int | None = None) -> Iterator[NDArray[np.intp]]:
        """Numbers of rows of equal shape, at most `batch_size` at a time; of the first `num_rows` only."""
        count = len(self) if num_rows is None else min(num_rows, len(self))
        for index in self._by_shape(count):
            for start in range(0, len(index), batch_size):
                yield index[start : start + batch_size]

    def _by_shape(self, count: int) -> list[NDArray[np.intp]]:
        ragged = [array.shapes[:count] for array in self.inputs.values() if isinstance(array, Ragged)]
        if not ragged:
            return [np.arange(count)]
        _, inverse = np.unique(np.concatenate(ragged, axis=1), axis=0, return_inverse=True)
        return [np.flatnonzero(inverse == shape) for shape in range(int(inverse.max()) + 1)]


def run_over(classify: Classifier, rows: Rows, batch_size: int, num_rows: int | None = None) -> Outputs:
    """`(N, classes)` outputs in the order of the rows."""
    parts = [(index, classify(rows.take(index))) for index in rows.batches(batch_size, num_rows)]
    index, outputs = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    ordered = np.empty_like(outputs)
    ordered[index] = outputs
    return ordered


def read_rows(path: Path, specs: Sequence[TensorSpec], num_classes: int) -> Rows:
    """Rows enough to fit policies on, checked against the inputs; RowsError names the file and the array."""
    arrays = load_arrays(path)
    try:
        _check_version(arrays)
        labels = _whole_numbers(arrays, "labels")
        rows = Rows(
            inputs={spec.name: _input(arrays, spec, len(labels)) for spec in specs},
            labels=labels,
            groups=_whole_numbers(arrays, "groups") if "groups" in arrays else None,
        )
        _check_rows(rows, num_classes)
    except RowsError as error:
        raise RowsError(f"{path}: {error}") from None
    return rows


def load_arrays(path: Path) -> dict[str, Array]:
    """The file is opened here, since NumPy leaves its own handle open where a file is broken."""
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise RowsError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RowsError(f"{path}: not an .npz of plain arrays ({error})") from None
    for name, array in arrays.items():
        # NumPy hands on what else an archive holds as bytes.
        if not isinstance(array, np.ndarray):
            raise RowsError(f"{path}: not an .npz of plain arrays ({name} is none)")
    return arrays


def _check_version(arrays: Mapping[str, Array]) -> None:
    found = arrays.get("format_version", np.int64(FORMAT_VERSION))
    if np.shape(found) != ():
        raise RowsError(f"format_version is an array of shape {np.shape(found)}, not a number")
    if found != FORMAT_VERSION:
        raise RowsError(f"format_version {found} is unknown; this reads {FORMAT_VERSION}")


def _input(arrays: Mapping[str, Array], spec: TensorSpec, num_rows: int) -> Array | Ragged:
    if spec.name not in arrays:
        raise RowsError(f"no array {spec.name!r}, which the model takes; there are: {', '.join(arrays)}")
    values = arrays[spec.name]
    if not _is_of(values, spec.datatype):
        raise RowsError(f"{spec.name} is {values.dtype}, and the model takes {spec.datatype}")
    if spec.datatype == STRINGS:
        values = values.astype(np.object_)
    if spec.name + SHAPES in arrays:
        return _ragged(values, arrays[spec.name + SHAPES], spec, num_rows)
    if len(values.shape) == 0 or len(values) != num_rows:
        raise RowsError(
            f"{spec.name} has shape {list(values.shape)}, and there are {num_rows} labels"
            f"{_hint(values, spec)}"
        )
    if not _fits(values.shape[1:], spec.shape[1:]):
        raise RowsError(f"{spec.name}: shape {list(values.shape)}, and the model takes {list(spec.shape)}")
    return values


def _hint(values: Array, spec: TensorSpec) -> str:
    is_flat = values.ndim == 1 and -1 in spec.shape[1:]
    return f" (rows of unequal shapes need {spec.name}{SHAPES} beside them)" if is_flat else ""


def _is_of(values: Array, datatype: str) -> bool:
    return values.dtype.kind == "U" if datatype == STRINGS else values.dtype == DTYPES[datatype]


def _ragged(values: Array, shapes: Array, spec: TensorSpec, num_rows: int) -> Ragged:
    name = spec.name + SHAPES
    rank = len(spec.shape) - 1
    if shapes.dtype.kind not in "iu" or shapes.shape != (num_rows, rank):
        raise RowsError(
            f"{name} is {shapes.dtype} of shape {list(shapes.shape)}, not whole numbers of "
            f"[{num_rows}, {rank}]"
        )
    shapes = shapes.astype(np.int64)
    for row, shape in enumerate(shapes.tolist()):
        if not _fits(shape, spec.shape[1:]):
            raise RowsError(f"{name}: row {row} is {shape}, and the model takes {list(spec.shape)}")
    if values.ndim != 1 or shapes.prod(axis=1).sum() != len(values):
        raise RowsError(
            f"{spec.name} holds {values.size} values, and {name} adds up to {shapes.prod(axis=1).sum()}"
        )
    return Ragged(values=values, shapes=shapes)


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """An extent that may vary is 1 or more."""
    return len(shape) == len(wanted) and all(
        s > 0 and w in (-1, s) for s, w in zip(shape, wanted, strict=True)
    )


def _whole_numbers(arrays: Mapping[str, Array], name: str) -> NDArray[np.int64]:
    if name not in arrays:
        raise RowsError(f"no array {name!r}; there are: {', '.join(arrays)}")
    values = arrays[name]
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise RowsError(f"{name} is {values.dtype} {values.shape}, not whole numbers (N,)")
    return values.astype(np.int64)


def _check_rows(rows: Rows, num_classes: int) -> None:
    if len(rows) < MIN_ROWS:
        raise RowsError(f"{len(rows)} rows are too few to fit on; at least {MIN_ROWS} are needed")
    if rows.labels.min() < 0 or rows.labels.max() >= num_classes:
        raise RowsError(f"labels lie outside 0..{num_classes - 1}")
    if rows.groups is None:
        return
    if len(rows.groups) != len(rows):
        raise RowsError(f"groups has {len(rows.groups)} entries, and there are {len(rows)} labels")
    if (rows.groups == rows.groups[0]).all():
        raise RowsError("the rows form a single group, which cannot be divided for fitting")
