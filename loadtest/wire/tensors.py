"""Named tensors, and their bytes as the protocol lays them out: little-endian, row-major."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import WireError

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
STRINGS = "BYTES"
LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class NamedTensor:
    """`array` has the batch as its first dimension; BYTES are arrays of text."""

    name: str
    datatype: str
    array: NDArray[Any]

    @property
    def shape(self) -> list[int]:
        return list(self.array.shape)

    def to_bytes(self) -> bytes:
        if self.datatype == STRINGS:
            return b"".join(_with_length(text) for text in self.array.ravel().tolist())
        return self.array.astype(DTYPES[self.datatype], copy=False).tobytes()


def _with_length(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return LENGTH.pack(len(raw)) + raw


def array_from_bytes(name: str, datatype: str, shape: Sequence[int], raw: bytes) -> NDArray[Any]:
    """The array of an output; WireError where its bytes are not as many as its shape says."""
    count = math.prod(shape)
    if datatype == STRINGS:
        return np.array(_strings(name, raw, count), np.str_).reshape(shape)
    if datatype not in DTYPES:
        raise WireError(f"output {name!r} has the unknown datatype {datatype!r}")
    dtype = DTYPES[datatype]
    if len(raw) != count * dtype.itemsize:
        raise WireError(f"output {name!r}: {len(raw)} bytes for {datatype} {list(shape)}")
    return np.frombuffer(raw, dtype).reshape(shape)


def _strings(name: str, raw: bytes, count: int) -> list[str]:
    texts, position = [], 0
    while position + LENGTH.size <= len(raw):
        begin = position + LENGTH.size
        position = begin + LENGTH.unpack_from(raw, position)[0]
        texts.append(raw[begin:position].decode(errors="replace"))
    if position != len(raw) or len(texts) != count:
        raise WireError(f"output {name!r}: its {len(raw)} bytes are not {count} strings")
    return texts
