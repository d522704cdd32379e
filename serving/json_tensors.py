"""Tensors in JSON: nested or flat lists, row-major."""

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.datatypes import DTYPES, elements
from serving.errors import InvalidRequest

KINDS: dict[str, set[type]] = {
    **{name: {int} if name.startswith(("INT", "UINT")) else {int, float} for name in DTYPES},
    "BOOL": {bool},
    "BYTES": {str},
}
"""What JSON's elements must be, by datatype."""


def tensor_from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> NDArray[np.generic]:
    """An array of exactly `shape`; InvalidRequest where the data is anything else.

    Nothing is handed to NumPy before its number and kind are known: an array of mixed lists takes memory by
    its longest string.
    """
    if not isinstance(data, list):
        raise InvalidRequest(f"input {name!r}: data must be a list")
    flat = _flattened(name, shape, data)
    array = _array(flat, datatype)
    if array is None:
        raise InvalidRequest(f"input {name!r}: data does not hold values of {datatype}")
    return array.reshape(shape)


def _flattened(name: str, shape: tuple[int, ...], data: list[Any]) -> list[Any]:
    """The elements in row-major order, of a flat list or one nested just as `shape` says."""
    if not any(isinstance(item, list) for item in data):
        if len(data) != elements(shape):
            raise InvalidRequest(f"input {name!r}: {len(data)} elements of data, {elements(shape)} expected")
        return data
    level = [data]
    for extent in shape:
        if not all(isinstance(part, list) and len(part) == extent for part in level):
            raise InvalidRequest(f"input {name!r}: data is ragged or not of shape {list(shape)}")
        level = list(chain.from_iterable(level))
    return level


def _array(flat: list[Any], datatype: str) -> NDArray[np.generic] | None:
    """None where an element is no value of the datatype; nothing is wrapped, or rounded to infinity."""
    if not set(map(type, flat)) <= KINDS[datatype]:
        return None
    if datatype == "BYTES":
        array = np.empty(len(flat), np.object_)
        array[:] = flat
        return array
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(flat, DTYPES[datatype])
    except OverflowError:
        return None
    return numbers if numbers.dtype.kind != "f" or np.isfinite(numbers).all() else None
