import struct
from pathlib import Path

import numpy as np
from tritonclient.grpc import model_config_pb2 as schema

from cascade.cascade_file import TensorSpec
from export.rows import Ragged, Rows
from export.signature import MemberSignature, plain_signature
from export.triton.warm_up import WarmUp, warm_up_of

SIGNATURE = MemberSignature(
    inputs=(
        TensorSpec(name="../pixels", datatype="UINT8", shape=(-1, 2, 2)),
        TensorSpec(name="serving/ids:0", datatype="INT64", shape=(-1, -1)),
        TensorSpec(name="text", datatype="BYTES", shape=(-1, 2)),
    ),
    names={"image": "../pixels", "ids": "serving/ids:0", "text": "text"},
    num_classes=2,
)
"""Names as converters give them, and worse."""

ROWS = Rows(
    inputs={
        "image": np.array([[[1, 2], [3, 255]], [[0, 0], [0, 0]]], np.uint8),
        "ids": Ragged(values=np.array([1, -2, 9], np.int64), shapes=np.array([[2], [1]])),
        "text": np.array([["ä", "cat"], ["", ""]], np.object_),
    },
    labels=np.zeros(2, np.int64),
)


def written(warm_up: WarmUp, folder: Path) -> dict[str, bytes]:
    warm_up.write(folder)
    assert [path.name for path in folder.iterdir()] == ["warmup"]
    return {path.name: path.read_bytes() for path in (folder / "warmup").iterdir()}


def test_the_files_hold_the_first_row_as_on_the_wire(tmp_path: Path) -> None:
    assert written(warm_up_of(ROWS, SIGNATURE), tmp_path) == {
        "input-0": bytes([1, 2, 3, 255]),
        "input-1": bytes([1, *[0] * 7, 0xFE, *[0xFF] * 7]),
        "input-2": bytes([2, 0, 0, 0]) + "ä".encode() + bytes([3, 0, 0, 0]) + b"cat",
    }


def test_the_configuration_names_the_files_and_not_the_batch() -> None:
    config = schema.ModelConfig()
    warm_up_of(ROWS, SIGNATURE).add_to(config)
    (found,) = config.model_warmup
    assert (found.name, found.batch_size) == ("row", 1)
    described = {
        name: (entry.data_type, list(entry.dims), entry.input_data_file)
        for name, entry in found.inputs.items()
    }
    assert described == {
        "../pixels": (schema.TYPE_UINT8, [2, 2], "input-0"),
        "serving/ids:0": (schema.TYPE_INT64, [2], "input-1"),
        "text": (schema.TYPE_STRING, [2], "input-2"),
    }


def test_big_endian_rows_are_turned(tmp_path: Path) -> None:
    signature = plain_signature((TensorSpec(name="x", datatype="FP32", shape=(-1, 1)),), 2)
    rows = Rows(inputs={"x": np.array([[1.5]], ">f4")}, labels=np.zeros(1, np.int64))
    assert written(warm_up_of(rows, signature), tmp_path) == {"input-0": struct.pack("<f", 1.5)}


def test_a_row_that_lies_in_columns_is_written_in_rows(tmp_path: Path) -> None:
    signature = plain_signature((TensorSpec(name="x", datatype="UINT8", shape=(-1, 2, 3)),), 2)
    columns = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
    rows = Rows(inputs={"x": columns}, labels=np.zeros(1, np.int64))
    assert written(warm_up_of(rows, signature), tmp_path) == {"input-0": bytes(range(6))}


def test_one_value_a_row_has_the_dimension_that_the_configuration_gives_it(tmp_path: Path) -> None:
    """Texts too, which NumPy would hand out as Python's own."""
    signature = plain_signature(
        (
            TensorSpec(name="age", datatype="INT64", shape=(-1,)),
            TensorSpec(name="text", datatype="BYTES", shape=(-1,)),
        ),
        2,
    )
    rows = Rows(
        inputs={"age": np.array([7, 8]), "text": np.array(["cat", "dog"], np.object_)},
        labels=np.zeros(2, np.int64),
    )
    config = schema.ModelConfig()
    warm_up_of(rows, signature).add_to(config)
    assert {name: list(entry.dims) for name, entry in config.model_warmup[0].inputs.items()} == {
        "age": [1],
        "text": [1],
    }
    assert written(warm_up_of(rows, signature), tmp_path) == {
        "input-0": bytes([7, *[0] * 7]),
        "input-1": bytes([3, 0, 0, 0]) + b"cat",
    }
