"""Small ONNX models, and Triton repositories of them for the Python backend."""

import shutil
from pathlib import Path

import numpy as np
import onnx
from google.protobuf import text_format
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import model_config_pb2 as schema

SCRIPT = Path(__file__).resolve().parents[2] / "export" / "python_backend" / "model.py"
WORDS = 10
WIDTH = 4
MAX_BATCH = 32
QUEUE_DELAY_US = 200_000
"""Long enough that requests sent together are run together."""

DATATYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
TRITON_NAMES: dict[int, str] = {number: name.replace("BYTES", "STRING") for name, number in DATATYPES.items()}


def mixed() -> bytes:
    """`ids` of any length and `numbers`; a sum over the ids' vectors, so an id of 10 and more has none."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(WORDS, WIDTH)).astype(np.float32)
    weights = rng.normal(size=(WIDTH, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["vectors"]),
        helper.make_node("ReduceSum", ["vectors", "second"], ["sums"], keepdims=0),
        helper.make_node("Add", ["sums", "numbers"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("ReduceSum", ["ids", "second"], ["total"], keepdims=1),
    ]
    return _model(
        nodes,
        inputs={"ids": (TensorProto.INT64, ["length"]), "numbers": (TensorProto.FLOAT, [WIDTH])},
        outputs={"logits": (TensorProto.FLOAT, [3]), "total": (TensorProto.INT64, [1])},
        constants={"table": table, "weights": weights, "second": np.array([1], np.int64)},
    )


def echo() -> bytes:
    """An output `NAME_back` for the input `NAME` of every datatype."""
    return _model(
        [helper.make_node("Identity", [name], [f"{name}_back"]) for name in DATATYPES],
        inputs={name: (number, [2]) for name, number in DATATYPES.items()},
        outputs={f"{name}_back": (number, [2]) for name, number in DATATYPES.items()},
        constants={},
    )


def shrunk() -> bytes:
    """A graph that breaks its promise: one row, whatever the number of rows it gets."""
    return _model(
        [helper.make_node("ReduceMax", ["numbers", "first"], ["largest"], keepdims=1)],
        inputs={"numbers": (TensorProto.FLOAT, [WIDTH])},
        outputs={"largest": (TensorProto.FLOAT, [WIDTH])},
        constants={"first": np.array([0], np.int64)},
    )


def write_model(
    repository: Path, name: str, model: bytes, *, max_batch_size: int = MAX_BATCH, queue_delay_us: int = 0
) -> None:
    """The script, the graph, and a configuration that says what the graph says."""
    version = repository / name / "1"
    version.mkdir(parents=True)
    shutil.copyfile(SCRIPT, version / "model.py")
    (version / "model.onnx").write_bytes(model)
    (repository / name / "config.pbtxt").write_text(
        _config(name, model, max_batch_size, queue_delay_us), encoding="utf-8"
    )


def _config(name: str, model: bytes, max_batch_size: int, queue_delay_us: int) -> str:
    graph = onnx.load_from_string(model).graph
    config = schema.ModelConfig(name=name, backend="python", max_batch_size=max_batch_size)
    first = 1 if max_batch_size else 0
    for tensors, described in ((graph.input, config.input), (graph.output, config.output)):
        for tensor in tensors:
            described.add(
                name=tensor.name,
                data_type=schema.DataType.Value(f"TYPE_{TRITON_NAMES[tensor.type.tensor_type.elem_type]}"),
                dims=[axis.dim_value or -1 for axis in tensor.type.tensor_type.shape.dim[first:]],
            )
    config.dynamic_batching.max_queue_delay_microseconds = queue_delay_us
    config.instance_group.add(kind=schema.ModelInstanceGroup.KIND_CPU, count=1)
    # Requests of several lengths may then share a batch, and the script must tell them apart.
    for tensor in config.input:
        tensor.allow_ragged_batch = max_batch_size > 0 and -1 in tensor.dims
    return str(text_format.MessageToString(config))


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[int | str]]],
    outputs: dict[str, tuple[int, list[int | str]]],
    constants: dict[str, NDArray[np.generic]],
) -> bytes:
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "test", _described(inputs), _described(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def _described(tensors: dict[str, tuple[int, list[int | str]]]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, number, ["rows", *shape])
        for name, (number, shape) in tensors.items()
    ]
