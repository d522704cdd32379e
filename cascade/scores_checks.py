"""What can be wrong with arrays of member outputs; every message names the array and the rows.

Values are looked at a chunk of rows at a time, so that files larger than memory can be checked.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cascade.chunks import map_rows
from cascade.errors import FormatError
from cascade.scores import OutputKind

SUM_TOLERANCE = 1e-3

Outputs = NDArray[np.floating]
Rows = NDArray[np.intp]


def check_datatype(name: str, array: NDArray[np.generic], codes: str) -> None:
    """`codes` are the letters of `dtype.kind` that belong there."""
    if array.dtype.kind not in codes:
        raise FormatError(f"{name} has datatype {array.dtype}, which does not belong there")


def check_vector(name: str, array: NDArray[np.generic], codes: str) -> None:
    check_datatype(name, array, codes)
    if array.ndim != 1:
        raise FormatError(f"{name} must have one dimension, got shape {array.shape}")


def check_shape(name: str, outputs: Outputs) -> None:
    """Outputs are floating point `(members, rows, classes)`, with something to decide between."""
    check_datatype(name, outputs, "f")
    if outputs.ndim != 3:
        raise FormatError(f"{name} must be (members, rows, classes), got shape {outputs.shape}")
    members, rows, classes = outputs.shape
    if members == 0:
        raise FormatError(f"{name} are of no member")
    if rows == 0 or classes < 2:
        raise FormatError(
            f"{name} hold {rows} rows of {classes} classes; at least 1 row and 2 classes are needed"
        )


def check_length(name: str, length: int, of: str, expected: int) -> None:
    if length != expected:
        raise FormatError(f"{name} has {length} entries where {of} has {expected}")


def check_positive(name: str, numbers: Sequence[float]) -> None:
    if not all(np.isfinite(number) and number > 0 for number in numbers):
        raise FormatError(f"{name} must be positive numbers, got {list(numbers)}")


def check_labels(labels: NDArray[np.integer], num_classes: int) -> None:
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        raise FormatError(f"labels lie outside 0..{num_classes - 1} in {_rows(outside)}")


def check_values(name: str, outputs: Outputs, kind: OutputKind) -> None:
    """Every value is finite; probabilities are not negative and sum to 1 within SUM_TOLERANCE."""
    _, num_rows, num_classes = outputs.shape

    def suspects(rows: slice) -> tuple[Rows, Rows]:
        """The chunk's rows that are not finite, and those that are but are no probabilities."""
        wrong = rows.start + np.flatnonzero(_any_of(wrong_rows(member[rows], kind) for member in outputs))
        infinite = _any_of(_not_finite(member[wrong]) for member in outputs)
        return wrong[infinite], wrong[~infinite]

    found = list(map_rows(suspects, num_rows, num_classes))
    not_finite, not_summing = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if len(not_finite):
        raise FormatError(f"{name} are not finite in {_rows(not_finite)}")
    if len(not_summing):
        raise FormatError(f"{name} are negative or do not sum to 1 in {_rows(not_summing)}")


def wrong_rows(outputs: Outputs, kind: OutputKind) -> NDArray[np.bool_]:
    """Of `(..., classes)` outputs, those that can be no prediction."""
    return _wrong_probabilities(outputs) if kind == "probabilities" else _not_finite(outputs)


def _not_finite(outputs: Outputs) -> NDArray[np.bool_]:
    return np.asarray(~np.isfinite(outputs).all(axis=-1))


def _wrong_probabilities(outputs: Outputs) -> NDArray[np.bool_]:
    """True of rows that are not finite as well: no comparison with NaN holds, and infinity is not near 1."""
    with np.errstate(invalid="ignore"):
        sums = outputs.sum(axis=-1, dtype=np.float64)
        return np.asarray(~((np.abs(sums - 1) <= SUM_TOLERANCE) & (outputs.min(axis=-1) >= 0)))


def _any_of(masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.asarray(np.logical_or.reduce(list(masks)))


def _rows(index: Rows) -> str:
    shown = ", ".join(str(row) for row in index[:5])
    return f"{len(index)} rows ({shown}{', ...' if len(index) > 5 else ''})"
