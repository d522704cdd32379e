"""A real row that Triton runs through a member before it calls the member ready."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2 as schema

from export.rows import Array, Rows
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


def _file(place: int) -> str:
    """Not the input's name, which may hold anything."""
    return f"input-{place}"


def _bytes(array: Array) -> bytes:
    """Little-endian and row-major; texts behind their length, as on the wire."""
    if array.dtype.kind != "O":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [str(text).encode() for text in np.ravel(array)]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
