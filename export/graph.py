"""A model as an ONNX graph: one file, any number of rows, nothing in it that tells where it was made."""

import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import onnx
import torch
from google.protobuf.message import Message
from torch import nn

from export.errors import GraphError
from export.triton_config import OUTPUT, MemberSignature

OPSET = 18
"""The exporter's own, so that nothing is converted after it, and known to every Triton of these years."""

BATCH = "batch"

EXAMPLE_ROWS = 2
"""With one, an exporter may take the number of rows for a constant."""


def export_graph(model: nn.Module, signature: MemberSignature) -> bytes:
    """A checked graph from UINT8 `(-1, H, W, C)` to FP32 `(-1, classes)`; the same model, the same bytes."""
    try:
        with _quiet():
            graph = _convert(model, signature)
    except torch.onnx.OnnxExporterError as error:
        raise GraphError(f"torch cannot export it: {_line(error.__cause__ or error)}") from error
    _strip(graph)
    check_graph(graph, signature)
    return graph.SerializeToString(deterministic=True)


def _convert(model: nn.Module, signature: MemberSignature) -> onnx.ModelProto:
    example = torch.zeros((EXAMPLE_ROWS, *signature.input.shape[1:]), dtype=torch.uint8)
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        external_data=False,
        opset_version=OPSET,
        input_names=[signature.input.name],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim(BATCH)},),
        verbose=False,
    )
    if program is None:
        raise GraphError("torch exported nothing")
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints whole graphs, logs and warns; what matters of it is checked or raised."""
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def check_graph(graph: onnx.ModelProto, signature: MemberSignature) -> None:
    """GraphError where a graph is not what was asked for, whatever it computes."""
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(f"the graph is not valid: {_line(error)}") from error
    opsets = {entry.domain: entry.version for entry in graph.opset_import}
    if opsets != {"": OPSET}:
        raise GraphError(f"the graph needs operator sets {opsets}, and {OPSET} was asked for")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.graph.initializer):
        raise GraphError("the graph keeps weights in another file")
    _check_tensors("inputs", graph.graph.input, (signature.input.name, "UINT8", signature.input.shape[1:]))
    _check_tensors("outputs", graph.graph.output, (OUTPUT, "FLOAT", (signature.num_classes,)))


def _check_tensors(
    side: str, found: Iterable[onnx.ValueInfoProto], wanted: tuple[str, str, tuple[int, ...]]
) -> None:
    described = [_describe(tensor) for tensor in found]
    name, datatype, extents = wanted
    expected = [(name, datatype, (BATCH, *extents))]
    if described != expected:
        raise GraphError(f"the graph's {side} are {described}, not {expected}")


def _describe(tensor: onnx.ValueInfoProto) -> tuple[str, str, tuple[str | int, ...]]:
    kind = tensor.type.tensor_type
    extents = tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim)
    return tensor.name, onnx.TensorProto.DataType.Name(kind.elem_type), extents


def _strip(message: Message) -> None:
    """Drop notes at every level: they hold stack traces, with the paths of this machine."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for child in value if field.is_repeated else [value]:
                _strip(child)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
