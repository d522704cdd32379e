"""Multiply-adds of an ONNX file, counted where ONNX Runtime runs it on real rows.

Its profile tells the shapes that every node really had, so nothing need be inferred, and rows of unequal
length count as they are.
"""

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from export.errors import ModelError
from export.inference import FATAL_ONLY, PROVIDERS, first_line
from export.rows import Rows
from export.signature import MemberSignature

NUM_ROWS = 16

Shape = Sequence[int]


def count_macs(content: bytes, rows: Rows, signature: MemberSignature) -> float:
    """Mean per row over the first rows. ModelError where nothing multiplies, as in a tree."""
    with tempfile.TemporaryDirectory() as folder:
        events = _profile(content, rows, signature, Path(folder))
    runs = min(NUM_ROWS, len(rows))
    total = sum(_macs_of(event["args"]) for event in events if _is_node(event))
    if total == 0:
        raise ModelError("no multiply-adds can be counted in it: say what a row costs (--macs, in any unit)")
    return total / runs


def _profile(content: bytes, rows: Rows, signature: MemberSignature, folder: Path) -> list[dict[str, Any]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    # Fused nodes would hide what they are made of.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Weights that a kernel has packed for itself are not in its profile.
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=list(PROVIDERS))
        for index in rows.batches(1, NUM_ROWS):
            feeds = {signature.names[name]: array for name, array in rows.take(index).items()}
            session.run([signature.output], feeds)
        events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot run it: {first_line(error)}") from error
    return events


def _is_node(event: dict[str, Any]) -> bool:
    return event.get("cat") == "Node" and event["name"].endswith("_kernel_time")


def _macs_of(arguments: dict[str, Any]) -> float:
    operator = arguments["op_name"]
    if operator in NOT_COUNTED:
        raise ModelError(
            f"{operator} multiplies, and is not counted: say what a row costs (--macs, in any unit)"
        )
    count = COUNTERS.get(operator)
    if count is None:
        return 0
    inputs, outputs = (
        [shape for entry in arguments[key] for shape in entry.values()]
        for key in ("input_type_shape", "output_type_shape")
    )
    return count(inputs, outputs)


def _conv(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> float:
    return math.prod(outputs[0]) * math.prod(inputs[1][1:])


def _quantised_conv(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> float:
    return math.prod(outputs[0]) * math.prod(inputs[3][1:])


def _transposed_conv(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> float:
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])


def _matmul(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> float:
    return math.prod(outputs[0]) * inputs[0][-1]


def _gemm(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> float:
    """Whichever way the first matrix lies, what is not its rows is what is summed over."""
    return math.prod(inputs[0]) * outputs[0][-1]


def _recurrent(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> float:
    """Both weight matrices, at every step and for every row."""
    steps = inputs[0][0] * inputs[0][1]
    return steps * (math.prod(inputs[1]) + math.prod(inputs[2]))


NOT_COUNTED = (
    *("Einsum", "DeformConv", "QLinearMatMul", "FusedMatMul", "FusedGemm", "FusedConv", "NhwcConv", "QGemm"),
    *("Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention", "MatMulNBits", "MatMulBnb4"),
)
"""Operators that multiply much, and whose shapes alone do not tell how much."""

COUNTERS: dict[str, Callable[[Sequence[Shape], Sequence[Shape]], float]] = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": _quantised_conv,
    "ConvTranspose": _transposed_conv,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "Gemm": _gemm,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
}
