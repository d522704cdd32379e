"""A real row that Triton runs through a member before it calls the member ready."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2 as schema

from export.errors import RepositoryError
from export.rows import DTYPES, Array, Rows
from export.signature import MemberSignature

FOLDER = "warmup"
"""Where Triton looks for the data, in the model's folder."""


@dataclass(frozen=True)
class WarmUp:
    """One row of each of the member's inputs, without the batch's dimension."""

    row: Mapping[str, Array]
    datatypes: Mapping[str, str]

    def add_to(self, config: Any) -> None:
        warm_up = config.model_warmup.add(name="row", batch_size=1)
        for place, (name, array) in enumerate(self.row.items()):
            entry = warm_up.inputs[name]
            datatype = self.datatypes[name]
            entry.data_type = schema.DataType.Value(
                "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
            )
            # One value a row has a dimension in the configuration too, which Triton drops.
            entry.dims.extend(array.shape or (1,))
            entry.input_data_file = _file(place)

    def write(self, model: Path) -> None:
        """A file an input, in the folder of the model."""
        (model / FOLDER).mkdir()
        for place, array in enumerate(self.row.values()):
            (model / FOLDER / _file(place)).write_bytes(_bytes(array))


def warm_up_of(rows: Rows, signature: MemberSignature) -> WarmUp:
    """The first of the rows."""
    feeds = rows.take(np.arange(1))
    return WarmUp(
        row={own: feeds[name][0, ...] for name, own in signature.names.items()},
        datatypes={spec.name: spec.datatype for spec in signature.inputs},
    )


def read_warm_up(config: Any, model: Path) -> dict[str, Array] | None:
    """The row that a configuration names, by input; None where it names none.

    RepositoryError where Triton would find no such row, and so not load the model.
    """
    if not config.model_warmup:
        return None
    row = {}
    for name, entry in config.model_warmup[0].inputs.items():
        path = model / FOLDER / entry.input_data_file
        try:
            row[name] = _array(path.read_bytes(), schema.DataType.Name(entry.data_type), tuple(entry.dims))
        except OSError:
            raise RepositoryError(f"{FOLDER}/{entry.input_data_file}: cannot be read") from None
        except (ValueError, struct.error):
            raise RepositoryError(
                f"{FOLDER}/{entry.input_data_file}: does not hold what is said of it"
            ) from None
    scalars = {tensor.name for tensor in config.input if tensor.HasField("reshape")}
    return {name: array.reshape(()) if name in scalars else array for name, array in row.items()}


def _array(content: bytes, datatype: str, shape: tuple[int, ...]) -> Array:
    """ValueError where the content is of another size."""
    if datatype != "TYPE_STRING":
        return np.frombuffer(content, DTYPES[datatype.removeprefix("TYPE_")]).reshape(shape)
    texts, offset = [], 0
    while offset < len(content):
        (length,) = struct.unpack_from("<I", content, offset)
        texts.append(content[offset + 4 : offset + 4 + length].decode())
        offset += 4 + length
    return np.array(texts, np.object_).reshape(shape)


def _file(place: int) -> str:
    """Not the input's name, which may hold anything."""
    return f"input-{place}"


def _bytes(array: Array) -> bytes:
    """Little-endian and row-major; texts behind their length, as on the wire."""
    if array.dtype.kind != "O":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [str(text).encode() for text in np.ravel(array)]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
