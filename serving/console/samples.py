"""Rows that the console offers to send, from a file of inputs as `python -m training` writes its splits."""

import base64
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import Cascade, TensorSpec
from serving.errors import StartupError

NUM_SAMPLES = 24


@dataclass(frozen=True)
class Samples:
    """`inputs` are `(rows, ...)` by name, `labels` `(rows,)` where they are known."""

    inputs: Mapping[str, NDArray[np.uint8]]
    labels: NDArray[np.int64] | None

    def of(self, cascade: Cascade) -> dict[str, Any] | None:
        """For a cascade whose only input they fit, raw and row-major in base64; None for another."""
        spec = cascade.inputs[0]
        rows = self.inputs.get(spec.name)
        if len(cascade.inputs) != 1 or rows is None or not _fits(rows, spec):
            return None
        return {
            "input": spec.name,
            "shape": list(rows.shape),
            "data": base64.b64encode(rows.tobytes()).decode("ascii"),
            "labels": None if self.labels is None else self.labels.tolist(),
        }


def _fits(rows: NDArray[np.uint8], spec: TensorSpec) -> bool:
    sizes = zip(rows.shape[1:], spec.shape[1:], strict=False)
    is_alike = rows.ndim == len(spec.shape) and all(own == size or size == -1 for own, size in sizes)
    return spec.datatype == "UINT8" and is_alike


def read_samples(path: Path, cascades: Iterable[Cascade]) -> Samples:
    """Some rows, evenly over the file. StartupError where no cascade takes them."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StartupError(f"{path}: cannot be read as .npz ({error})") from None
    names = {spec.name for cascade in cascades for spec in cascade.inputs}
    inputs = {
        name: _some(array)
        for name, array in arrays.items()
        if name in names and array.dtype == np.uint8 and array.ndim > 1 and len(array)
    }
    labels = arrays.get("labels")
    if labels is not None and not _are_labels(labels, {len(arrays[name]) for name in inputs}):
        raise StartupError(f"{path}: labels are not one whole number for each row")
    samples = Samples(inputs, None if labels is None else _some(labels).astype(np.int64))
    if not any(samples.of(cascade) for cascade in cascades):
        wanted = ", ".join(sorted(names))
        raise StartupError(f"{path}: holds no UINT8 rows that a cascade here takes (as {wanted})")
    return samples


def _are_labels(labels: NDArray[Any], num_rows: set[int]) -> bool:
    return labels.ndim == 1 and labels.dtype.kind in "iu" and num_rows <= {len(labels)}


def _some(array: NDArray[Any]) -> NDArray[Any]:
    rows = np.linspace(0, len(array), num=min(NUM_SAMPLES, len(array)), endpoint=False).astype(np.int64)
    return array[rows]
