"""A torch model as an ONNX graph: one file, any number of rows, nothing that tells where it was made."""

from collections.abc import Iterable

import onnx
import torch
from torch import nn

from export.errors import GraphError, ModelError
from export.onnx_file import check_whole, line, strip_notes
from export.precision import quiet
from export.signature import MemberSignature

OPSET = 18
"""The exporter's own, so that nothing is converted after it, and known to every Triton of these years."""

BATCH = "batch"

EXAMPLE_ROWS = 2
"""With one, an exporter may take the number of rows for a constant."""

EXAMPLE_EXTENT = 48
"""Of a dimension that may vary."""


def export_graph(model: nn.Module, signature: MemberSignature) -> bytes:
    """A checked graph from UINT8 `(-1, H, W, C)` to FP32 `(-1, classes)`; the same model, the same bytes."""
    try:
        with quiet():
            graph = _convert(model, signature)
    except torch.onnx.OnnxExporterError as error:
        raise GraphError(f"torch cannot export it: {line(error.__cause__ or error)}") from error
    strip_notes(graph)
    check_graph(graph, signature)
    return graph.SerializeToString(deterministic=True)


def _convert(model: nn.Module, signature: MemberSignature) -> onnx.ModelProto:
    (image,) = signature.inputs
    extents = [EXAMPLE_EXTENT + place if extent == -1 else extent for place, extent in enumerate(image.shape)]
    example = torch.zeros((EXAMPLE_ROWS, *extents[1:]), dtype=torch.uint8)
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        external_data=False,
        opset_version=OPSET,
        input_names=[image.name],
        output_names=[signature.output],
        dynamic_shapes=(_dynamic(image.shape),),
        verbose=False,
    )
    if program is None:
        raise GraphError("torch exported nothing")
    return program.model_proto


def _dynamic(shape: tuple[int, ...]) -> dict[int, torch.export.Dim]:
    names = _extents(shape)
    return {place: torch.export.Dim(str(names[place])) for place, e in enumerate(shape) if e == -1}


def _extents(shape: tuple[int, ...]) -> tuple[str | int, ...]:
    """A name for the batch and for every other extent that may vary."""
    varying = (BATCH, "height", "width", "channels")
    return tuple(varying[place] if extent == -1 else extent for place, extent in enumerate(shape))


def check_graph(graph: onnx.ModelProto, signature: MemberSignature) -> None:
    """GraphError where a graph is not what was asked for, whatever it computes."""
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(f"the graph is not valid: {line(error)}") from error
    opsets = {entry.domain: entry.version for entry in graph.opset_import}
    if opsets != {"": OPSET}:
        raise GraphError(f"the graph needs operator sets {opsets}, and {OPSET} was asked for")
    try:
        check_whole(graph)
    except ModelError as error:
        raise GraphError(f"the graph {error}") from None
    (image,) = signature.inputs
    _check_tensors("inputs", graph.graph.input, (image.name, "UINT8", _extents(image.shape)))
    _check_tensors("outputs", graph.graph.output, (signature.output, "FLOAT", (BATCH, signature.num_classes)))


def _check_tensors(
    side: str, found: Iterable[onnx.ValueInfoProto], wanted: tuple[str, str, tuple[str | int, ...]]
) -> None:
    described = [_describe(tensor) for tensor in found]
    if described != [wanted]:
        raise GraphError(f"the graph's {side} are {described}, not {[wanted]}")


def _describe(tensor: onnx.ValueInfoProto) -> tuple[str, str, tuple[str | int, ...]]:
    kind = tensor.type.tensor_type
    extents = tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim)
    return tensor.name, onnx.TensorProto.DataType.Name(kind.elem_type), extents
