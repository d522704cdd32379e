"""The protocol's datatypes as NumPy's, and BYTES tensors, which have no fixed size."""

import struct

import numpy as np
from numpy.typing import NDArray

from serving.errors import InvalidRequest

DTYPES: dict[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}


def elements(shape: tuple[int, ...]) -> int:
    """Number of elements, exact: Python integers do not overflow."""
    count = 1
    for extent in shape:
        count *= extent
    return count


def tensor_from_bytes(
    name: str, datatype: str, shape: tuple[int, ...], data: memoryview | bytes
) -> NDArray[np.generic]:
    """A view on little-endian `data`; InvalidRequest where its size is not what the shape asks for."""
    if datatype == "BYTES":
        return _byte_strings(name, shape, data)
    dtype = DTYPES[datatype]
    expected = elements(shape) * dtype.itemsize
    if len(data) != expected:
        raise InvalidRequest(
            f"input {name!r}: {len(data)} bytes of data, {expected} expected for {datatype} {list(shape)}"
        )
    array = np.frombuffer(data, dtype)
    if datatype == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        raise InvalidRequest(f"input {name!r}: a BOOL is a byte of 0 or 1")
    return array.reshape(shape)


def _byte_strings(name: str, shape: tuple[int, ...], data: memoryview | bytes) -> NDArray[np.generic]:
    """Strings, each behind its length as an unsigned 32-bit integer; as `str`, which ONNX Runtime wants."""
    strings: list[str] = []
    offset, expected = 0, elements(shape)
    while offset + 4 <= len(data) and len(strings) < expected:
        (length,) = struct.unpack_from("<I", data, offset)
        offset += 4
        if offset + length > len(data):
            break
        strings.append(_text(name, bytes(data[offset : offset + length])))
        offset += length
    if len(strings) != expected or offset != len(data):
        raise InvalidRequest(
            f"input {name!r}: {len(data)} bytes do not hold {expected} length-prefixed strings"
        )
    array = np.empty(expected, np.object_)
    array[:] = strings
    return array.reshape(shape)


def _text(name: str, string: bytes) -> str:
    try:
        return string.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"input {name!r}: a string is not UTF-8") from None


def byte_strings_to_bytes(strings: list[bytes]) -> bytes:
    """The wire form of a BYTES tensor."""
    return b"".join(struct.pack("<I", len(string)) + string for string in strings)
