"""Tensors in JSON: nested or flat lists, row-major."""

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.datatypes import DTYPES, elements
from serving.errors import InvalidRequest

INTEGERS = {name for name in DTYPES if name.startswith(("INT", "UINT"))}
RANGES: dict[str, tuple[float, float]] = {
    **{name: (int(np.iinfo(name.lower()).min), int(np.iinfo(name.lower()).max)) for name in INTEGERS},
    **{
        f"FP{bits}": (-limit, limit)
        for bits in (16, 32, 64)
        for limit in (float(np.finfo(f"f{bits // 8}").max),)
    },
}


def tensor_from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> NDArray[np.generic]:
    """An array of exactly `shape`; InvalidRequest where the data is anything else.

    Nothing is handed to NumPy before its number and kind are known: an array of mixed lists takes memory by
    its longest string.
    """
    if not isinstance(data, list):
        raise InvalidRequest(f"input {name!r}: data must be a list")
    flat = _flattened(name, shape, data)
    if not _belong(flat, datatype):
        raise InvalidRequest(f"input {name!r}: data does not hold values of {datatype}")
    if datatype == "BYTES":
        array = np.empty(len(flat), np.object_)
        array[:] = flat
        return array.reshape(shape)
    return np.array(flat, DTYPES[datatype]).reshape(shape)


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


def _belong(flat: list[Any], datatype: str) -> bool:
    """Whether every element is a value of the datatype; nothing is rounded or wrapped."""
    kinds = set(map(type, flat))
    if datatype in ("BYTES", "BOOL"):
        return kinds <= {str if datatype == "BYTES" else bool}
    if not kinds <= ({int} if datatype in INTEGERS else {int, float}):
        return False
    lowest, highest = RANGES[datatype]
    return all(lowest <= value <= highest for value in flat)
