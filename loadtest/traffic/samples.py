"""The rows that are sent, and what is known of them.

An `.npz` with each input under its wire name, `(rows, ...)`; `labels` int64 (rows,), which
out-of-distribution rows lack; optionally `groups` int64 (rows,), rows of one group being copies of one
source and so not independent; optionally `difficulty` float (rows,) in [0, 1], 1 the hardest. Other arrays
are passed over.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import TensorSpec
from loadtest.errors import SamplesError
from loadtest.wire.tensors import DTYPES, STRINGS, NamedTensor

FORMAT_VERSION = 1

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Rows that a model takes. `labels` is None out of distribution."""

    inputs: tuple[NamedTensor, ...]
    labels: NDArray[np.int64] | None = None
    groups: NDArray[np.int64] | None = None
    difficulty: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        lengths = {tensor.name: len(tensor.array) for tensor in self.inputs}
        for name in ("labels", "groups", "difficulty"):
            if getattr(self, name) is not None:
                lengths[name] = len(getattr(self, name))
        if len(set(lengths.values())) != 1:
            raise SamplesError(f"arrays differ in their number of rows: {lengths}")
        if len(self) == 0:
            raise SamplesError("there are no rows")

    def __len__(self) -> int:
        return len(self.inputs[0].array)

    @property
    def bytes_per_row(self) -> float:
        return sum(tensor.array.nbytes for tensor in self.inputs) / len(self)

    def take(self, rows: NDArray[np.int64] | slice) -> tuple[NamedTensor, ...]:
        """The inputs of some rows, as one request carries them."""
        return tuple(NamedTensor(t.name, t.datatype, t.array[rows]) for t in self.inputs)


def read_samples(
    path: Path, specs: Sequence[TensorSpec], num_classes: int | None, *, is_labelled: bool = True
) -> Samples:
    """Rows checked against the model's inputs; SamplesError names the file, the array and both values.
    `num_classes` is None where the model does not tell."""
    arrays = _load(path)
    try:
        _check_version(arrays)
        return Samples(
            inputs=tuple(_input(arrays, spec) for spec in specs),
            labels=_labels(arrays, num_classes) if is_labelled else None,
            groups=_whole_numbers(arrays, "groups") if "groups" in arrays else None,
            difficulty=_difficulty(arrays) if "difficulty" in arrays else None,
        )
    except SamplesError as error:
        raise SamplesError(f"{path}: {error}") from None


def _load(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise SamplesError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        # NumPy's own words advise to allow pickles.
        why = "" if "pickle" in str(error) else f" ({error})"
        raise SamplesError(f"{path}: not an .npz of plain arrays{why}") from None


def _check_version(arrays: Arrays) -> None:
    version = arrays.get("format_version", np.int64(FORMAT_VERSION))
    if version.shape != () or version != FORMAT_VERSION:
        raise SamplesError(f"format_version {version} is unknown; this reads {FORMAT_VERSION}")


def _input(arrays: Arrays, spec: TensorSpec) -> NamedTensor:
    if spec.name not in arrays:
        raise SamplesError(f"no array {spec.name!r}; the model takes it, and there are: {', '.join(arrays)}")
    array = arrays[spec.name]
    is_right = array.dtype.kind in "US" if spec.datatype == STRINGS else array.dtype == DTYPES[spec.datatype]
    if not is_right:
        raise SamplesError(f"{spec.name} is {array.dtype}, and the model takes {spec.datatype}")
    if not _fits(array.shape, spec.shape):
        raise SamplesError(f"{spec.name}: shape {list(array.shape)} where the model takes {list(spec.shape)}")
    return NamedTensor(spec.name, spec.datatype, array)


def _fits(shape: Sequence[int], expected: Sequence[int]) -> bool:
    return len(shape) == len(expected) and all(e in (-1, d) for d, e in zip(shape, expected, strict=True))


def _labels(arrays: Arrays, num_classes: int | None) -> NDArray[np.int64]:
    if "labels" not in arrays:
        raise SamplesError("no array 'labels', without which nothing can be said of quality")
    labels = _whole_numbers(arrays, "labels")
    most = np.iinfo(np.int64).max if num_classes is None else num_classes - 1
    outside = np.flatnonzero((labels < 0) | (labels > most))
    if len(outside):
        raise SamplesError(f"labels: {labels[outside[0]]} (row {outside[0]}) is outside 0..{most}")
    return labels


def _whole_numbers(arrays: Arrays, name: str) -> NDArray[np.int64]:
    array = arrays[name]
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise SamplesError(f"{name} is {array.dtype} of shape {list(array.shape)}, not whole numbers (rows,)")
    return array.astype(np.int64)


def _difficulty(arrays: Arrays) -> NDArray[np.float64]:
    array = arrays["difficulty"]
    if array.dtype.kind != "f" or array.ndim != 1 or not ((array >= 0) & (array <= 1)).all():
        raise SamplesError(f"difficulty is {array.dtype} of shape {list(array.shape)}, not (rows,) in [0, 1]")
    return array.astype(np.float64)
