"""Tensors in JSON: nested or flat lists, row-major."""

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
    """An array of exactly `shape`; InvalidRequest where the data is anything else."""
    if not isinstance(data, list):
        raise InvalidRequest(f"input {name!r}: data must be a list")
    array = _strings(name, data) if datatype == "BYTES" else _numbers(name, datatype, data)
    if array.shape != shape and array.ndim != 1:
        raise InvalidRequest(f"input {name!r}: data has shape {list(array.shape)}, not {list(shape)}")
    if array.size != elements(shape):
        raise InvalidRequest(f"input {name!r}: {array.size} elements of data, {elements(shape)} expected")
    return array.reshape(shape)


def _numbers(name: str, datatype: str, data: list[Any]) -> NDArray[np.generic]:
    try:
        array = np.array(data)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"input {name!r}: data is ragged or not of one kind") from None
    if array.size == 0:
        return array.astype(DTYPES[datatype])
    if not _belongs(array, datatype):
        raise InvalidRequest(f"input {name!r}: data does not hold values of {datatype}")
    return array.astype(DTYPES[datatype])


def _belongs(array: NDArray[Any], datatype: str) -> bool:
    """Whether every element is a value of the datatype; nothing is rounded or wrapped."""
    if datatype == "BOOL":
        return array.dtype.kind == "b"
    lowest, highest = RANGES[datatype]
    kinds = "iu" if datatype in INTEGERS else "iuf"
    return array.dtype.kind in kinds and lowest <= array.min() and array.max() <= highest


def _strings(name: str, data: list[Any]) -> NDArray[np.generic]:
    array = np.array(data, dtype=np.object_) if _is_regular(data) else None
    if array is None or not all(isinstance(item, str) for item in array.flat):
        raise InvalidRequest(f"input {name!r}: data does not hold strings in a regular shape")
    encoded = np.empty(array.size, np.object_)
    encoded[:] = [str(item).encode() for item in array.flat]
    return encoded.reshape(array.shape)


def _is_regular(data: list[Any]) -> bool:
    """NumPy makes an array of lists out of ragged objects instead of refusing them."""
    lengths = {len(item) if isinstance(item, list) else -1 for item in data}
    nested = [item for item in data if isinstance(item, list)]
    return len(lengths) <= 1 and all(_is_regular(item) for item in nested)
