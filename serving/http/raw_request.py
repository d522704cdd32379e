"""Raw binary requests: a body without any JSON, which is one row of a model's only input."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import TensorSpec
from serving.datatypes import DTYPES, byte_strings_to_bytes, tensor_from_bytes
from serving.errors import InvalidRequest


def raw_tensor(specs: Sequence[TensorSpec], body: memoryview) -> tuple[TensorSpec, NDArray[np.generic]]:
    """The input, and its row; at most one extent of a row may be open, and follows from the body's size."""
    if len(specs) != 1:
        raise InvalidRequest(f"a raw binary request is for models of one input; this one has {len(specs)}")
    spec = specs[0]
    row = spec.shape[1:]
    if row.count(-1) > 1:
        raise InvalidRequest(
            f"input {spec.name!r} has shape {list(spec.shape)}, which a raw binary request leaves open"
        )
    if spec.datatype == "BYTES":
        shape = _shape(spec, row, 1, 1)
        return spec, tensor_from_bytes(spec.name, "BYTES", shape, byte_strings_to_bytes([bytes(body)]))
    shape = _shape(spec, row, len(body), DTYPES[spec.datatype].itemsize)
    return spec, tensor_from_bytes(spec.name, spec.datatype, shape, body)


def _shape(spec: TensorSpec, row: tuple[int, ...], num_bytes: int, element_bytes: int) -> tuple[int, ...]:
    """Of a batch of one. A text is one element, whatever its length."""
    fixed_bytes = math.prod(extent for extent in row if extent != -1) * element_bytes
    open_extent, rest = divmod(num_bytes, fixed_bytes)
    fits = rest == 0 and (open_extent >= 1 if -1 in row else open_extent == 1)
    if not fits:
        what = "one text" if spec.datatype == "BYTES" else f"a raw body of {num_bytes} bytes"
        raise InvalidRequest(f"input {spec.name!r}: {what} is no row of {spec.datatype} {list(spec.shape)}")
    return (1, *(open_extent if extent == -1 else extent for extent in row))
