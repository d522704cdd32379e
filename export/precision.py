"""A float32 ONNX file at another precision, by ONNX Runtime's own tools."""

import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from export.errors import GraphError
from export.onnx_file import check_versions, line, read_onnx, strip_notes
from export.rows import Rows
from export.signature import MemberSignature

RANGE_BATCH = 16
RANGE_BATCHES = 16
"""Rows on which int8 looks for the ranges of values; more change little, and cost memory."""


def convert(content: bytes, precision: str, rows: Rows, signature: MemberSignature) -> bytes:
    """The file at `precision`, its inputs and outputs of the same types. GraphError where the tools fail."""
    if precision == "fp32":
        return content
    converters: dict[str, Callable[[bytes, Rows, MemberSignature], onnx.ModelProto]] = {
        "fp16": _to_fp16,
        "int8": _to_int8,
    }
    try:
        with quiet():
            model = converters[precision](content, rows, signature)
        strip_notes(model)
        result = bytes(model.SerializeToString(deterministic=True))
        check_versions(read_onnx(result))
    # Whatever they raise: they are scripts more than a library.
    except Exception as error:
        raise GraphError(f"cannot be made {precision}: {line(error) or type(error).__name__}") from error
    return result


def _to_fp16(content: bytes, rows: Rows, signature: MemberSignature) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    # A format that ONNX Runtime runs, but the checker refuses: casts stand behind what they feed.
    converted = OnnxModel(convert_float_to_float16(onnx.load_model_from_string(content), keep_io_types=True))
    converted.topological_sort()
    model: onnx.ModelProto = converted.model
    return model


def _to_int8(content: bytes, rows: Rows, signature: MemberSignature) -> onnx.ModelProto:
    """Static, symmetric weights per channel, unsigned activations, as pairs of QuantizeLinear and back.

    Weights keep seven bits (`reduce_range`): on processors without VNNI eight saturate, and the same file
    would answer differently from machine to machine. The last layer stays float, or scores come in steps.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        plain, ready, quantised = (Path(folder) / f"{name}.onnx" for name in ("plain", "ready", "int8"))
        plain.write_bytes(_with_named_nodes(content))
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            quantised,
            _ranges_reader(rows, signature),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_last_layer(onnx.load(ready), signature.output),
        )
        model = onnx.load(quantised)
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise GraphError("there is nothing to quantise in it beside its last layer")
    return model


def _with_named_nodes(content: bytes) -> bytes:
    """Nodes are told apart by their names, which not all files give them."""
    model = onnx.load_model_from_string(content)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node-{number}"
    return bytes(model.SerializeToString())


def _ranges_reader(rows: Rows, signature: MemberSignature) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = islice(spread(rows), RANGE_BATCHES)

        def get_next(self) -> dict[str, Any] | None:
            index = next(self._batches, None)
            if index is None:
                return None
            return {signature.names[name]: array for name, array in rows.take(index).items()}

    return Reader()


def spread(rows: Rows) -> Iterator[Any]:
    """Batches in an order that does not begin with one class: files are often sorted by it."""
    batches = list(rows.batches(RANGE_BATCH))
    order = np.random.default_rng(0).permutation(len(batches))
    return (batches[place] for place in order)


def _last_layer(model: onnx.ModelProto, output: str) -> list[str]:
    """Names of the nodes from the last one with weights on to the output."""
    producers = {name: node for node in model.graph.node for name in node.output}
    weights = {tensor.name for tensor in model.graph.initializer}
    found, tensor = [], output
    while tensor in producers:
        node = producers[tensor]
        found.append(node.name)
        if node.op_type in ("Gemm", "MatMul", "Conv") and any(name in weights for name in node.input):
            break
        tensor = next((name for name in node.input if name in producers), "")
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """The tools print, log and warn; what matters of it is checked or raised."""
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
