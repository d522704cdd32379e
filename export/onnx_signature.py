"""What an ONNX file takes and gives, as it says itself."""

from collections.abc import Sequence
from typing import Any

import onnx

from cascade.cascade_file import TensorSpec
from export.errors import ModelError

_TYPE = onnx.TensorProto.DataType
DATATYPES: dict[int, str] = {
    _TYPE.BOOL: "BOOL",
    _TYPE.UINT8: "UINT8",
    _TYPE.UINT16: "UINT16",
    _TYPE.UINT32: "UINT32",
    _TYPE.UINT64: "UINT64",
    _TYPE.INT8: "INT8",
    _TYPE.INT16: "INT16",
    _TYPE.INT32: "INT32",
    _TYPE.INT64: "INT64",
    _TYPE.FLOAT16: "FP16",
    _TYPE.FLOAT: "FP32",
    _TYPE.DOUBLE: "FP64",
    _TYPE.STRING: "BYTES",
}
FLOATS = ("FP16", "FP32", "FP64")


def read_inputs(model: onnx.ModelProto) -> tuple[TensorSpec, ...]:
    """The inputs that have no value in the file; ModelError where one has no batch that varies."""
    graph = model.graph
    given = {tensor.name for tensor in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    inputs = tuple(_input(value) for value in graph.input if value.name not in given)
    if not inputs:
        raise ModelError("takes no input")
    return inputs


def _input(value: onnx.ValueInfoProto) -> TensorSpec:
    datatype, shape = _tensor(value)
    if datatype is None:
        raise ModelError(f"input {value.name!r} is {_describe(value)}, which no request can carry")
    if shape is None:
        raise ModelError(f"input {value.name!r} says nothing of its shape")
    if not shape or shape[0] != -1:
        raise ModelError(
            f"input {value.name!r} is {_describe(value)}; its first extent must vary, being the number of "
            "rows (export the model with a dynamic batch)"
        )
    return TensorSpec(name=value.name, datatype=datatype, shape=shape)


def read_output(model: onnx.ModelProto, name: str) -> tuple[str, str, int]:
    """Name, datatype and columns (0 where they are not said) of the output that can be a classifier's.

    ModelError says why where there is none, or more than one and no `name`.
    """
    outputs = list(model.graph.output)
    if name:
        outputs = [value for value in outputs if value.name == name]
        if not outputs:
            known = ", ".join(value.name for value in model.graph.output)
            raise ModelError(f"has no output {name!r}; there are: {known}")
    fitting = [value for value in outputs if _is_scores(value)]
    if len(fitting) == 1:
        datatype, shape = _tensor(fitting[0])
        return fitting[0].name, str(datatype), max(shape[1], 0) if shape else 0
    told = "; ".join(f"{value.name} is {_describe(value)}" for value in outputs)
    if fitting:
        raise ModelError(f"more than one output could be the classes' ({told}): name one (--output)")
    raise ModelError(
        "is no classifier: no output has rows of floating-point numbers, one for each of two or more classes "
        f"({told})"
    )


def _is_scores(value: onnx.ValueInfoProto) -> bool:
    datatype, shape = _tensor(value)
    return datatype in FLOATS and (
        shape is None or (len(shape) == 2 and shape[0] == -1 and (shape[1] == -1 or shape[1] >= 2))
    )


def _tensor(value: onnx.ValueInfoProto) -> tuple[str | None, tuple[int, ...] | None]:
    """None for what is no tensor of a known type, and for a shape that is not said."""
    if not value.type.HasField("tensor_type"):
        return None, None
    tensor = value.type.tensor_type
    shape = tuple(_extent(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
    return DATATYPES.get(tensor.elem_type), shape


def _extent(dim: Any) -> int:
    return dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else -1


def _describe(value: onnx.ValueInfoProto) -> str:
    datatype, shape = _tensor(value)
    if datatype is None:
        kind = value.type.WhichOneof("value") or ""
        return {"sequence_type": "a sequence", "map_type": "a map"}.get(kind, "of no known type")
    return f"{datatype} {_listed(shape)}"


def _listed(shape: Sequence[int] | None) -> str:
    return "of any shape" if shape is None else str(list(shape))
