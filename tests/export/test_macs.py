from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from cascade.cascade_file import TensorSpec
from export.errors import ModelError
from export.macs import count_macs
from export.rows import Array, Ragged, Rows, read_rows
from export.signature import MemberSignature, plain_signature
from tests.export.foreign_models import node, save, value


def floats(*shape: int) -> NDArray[np.float32]:
    return np.ones(shape, np.float32)


def signature_of(datatype: str, *shape: int) -> MemberSignature:
    return plain_signature((TensorSpec(name="x", datatype=datatype, shape=(-1, *shape)),), 2)


def rows_of(array: Array | Ragged) -> Rows:
    return Rows(inputs={"x": array}, labels=np.zeros(len(array), np.int64))


def counted(tmp_path: Path, nodes: list[onnx.NodeProto], weights: dict[str, Any], *shape: int) -> float:
    """Of a graph from `x` to `logits`, over 20 rows of ones."""
    file = save(
        tmp_path / "model.onnx",
        nodes,
        [value("x", TensorProto.FLOAT, "batch", *shape)],
        [value("logits", TensorProto.FLOAT, *["any"] * OUTPUT_RANK[nodes[-1].op_type])],
        weights,
    )
    return count_macs(file.read_bytes(), rows_of(floats(20, *shape)), signature_of("FP32", *shape))


OUTPUT_RANK = {"MatMul": 2, "Gemm": 2, "Add": 2, "Conv": 4, "ConvTranspose": 4, "LSTM": 4, "Relu": 2}


def test_a_published_member_costs_what_torch_counted(run_folder: Path, published: Path) -> None:
    spec = TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, 8, 1))
    rows = read_rows(run_folder / "splits" / "calibration.npz", (spec,), 10)
    content = (published / "digits-0" / "1" / "model.onnx").read_bytes()
    assert count_macs(content, rows, plain_signature((spec,), 10)) == 763520


def test_a_matrix_costs_its_size(tmp_path: Path) -> None:
    assert counted(tmp_path, [node("MatMul", "x w", "logits")], {"w": floats(5, 3)}, 5) == 15


def test_a_matrix_costs_its_size_at_every_place_of_a_row(tmp_path: Path) -> None:
    """Four places of five numbers, and then the places' sum through a second one."""
    nodes = [
        node("MatMul", "x w", "y"),
        node("ReduceSum", "y places", "sum", keepdims=0),
        node("MatMul", "sum v", "logits"),
    ]
    weights = {"w": floats(5, 3), "v": floats(3, 2), "places": np.array([1])}
    assert counted(tmp_path, nodes, weights, 4, 5) == 4 * 15 + 6


def test_gemm_costs_its_matrix_however_it_lies(tmp_path: Path) -> None:
    plain = [node("Gemm", "x w bias", "logits")]
    assert counted(tmp_path, plain, {"w": floats(5, 3), "bias": floats(3)}, 5) == 15
    turned = [node("Gemm", "x w", "logits", transB=1)]
    assert counted(tmp_path, turned, {"w": floats(3, 5)}, 5) == 15
    # Four features of the row beside each other, as columns of the turned first matrix.
    both = [
        node("Reshape", "x shape", "columns"),
        node("Gemm", "columns w", "logits", transA=1, transB=1),
    ]
    assert counted(tmp_path, both, {"w": floats(3, 5), "shape": np.array([5, 4])}, 20) == 4 * 15


def test_convolutions_cost_kernels_at_every_place_by_group(tmp_path: Path) -> None:
    whole = [node("Conv", "x w", "logits", pads=[1, 1, 1, 1])]
    assert counted(tmp_path, whole, {"w": floats(6, 4, 3, 3)}, 4, 5, 7) == 5 * 7 * 6 * 4 * 9
    strided = [node("Conv", "x w", "logits", strides=[2, 2])]
    assert counted(tmp_path, strided, {"w": floats(6, 4, 3, 3)}, 4, 5, 7) == 2 * 3 * 6 * 4 * 9
    grouped = [node("Conv", "x w", "logits", group=2, pads=[1, 1, 1, 1])]
    assert counted(tmp_path, grouped, {"w": floats(6, 2, 3, 3)}, 4, 5, 7) == 5 * 7 * 6 * 2 * 9


def test_transposed_convolutions_cost_kernels_at_every_place_they_come_from(tmp_path: Path) -> None:
    nodes = [node("ConvTranspose", "x w", "logits", strides=[2, 2])]
    assert counted(tmp_path, nodes, {"w": floats(4, 6, 3, 3)}, 4, 5, 7) == 5 * 7 * 4 * 6 * 9


def test_a_recurrent_layer_costs_both_matrices_at_every_step(tmp_path: Path) -> None:
    """Seven steps of five numbers, a state of three, in one direction and in both."""
    first = node("Transpose", "x", "steps", perm=[1, 0, 2])
    one = [first, node("LSTM", "steps w r", "logits", hidden_size=3)]
    assert counted(tmp_path, one, {"w": floats(1, 12, 5), "r": floats(1, 12, 3)}, 7, 5) == 7 * (60 + 36)
    two = [first, node("LSTM", "steps w r", "logits", hidden_size=3, direction="bidirectional")]
    assert counted(tmp_path, two, {"w": floats(2, 12, 5), "r": floats(2, 12, 3)}, 7, 5) == 2 * 7 * (60 + 36)


def test_rows_of_unequal_length_cost_as_many_steps_as_they_have(tmp_path: Path) -> None:
    """Sixteen rows are looked at, of 3 and 1 words in turn; what comes after them is not."""
    file = save(
        tmp_path / "model.onnx",
        [
            node("Gather", "vectors x", "words"),
            node("MatMul", "words w", "mixed"),
            node("ReduceSum", "mixed places", "logits", keepdims=0),
        ],
        [value("x", TensorProto.INT64, "batch", "length")],
        [value("logits", TensorProto.FLOAT, "batch", 2)],
        {"vectors": floats(9, 5), "w": floats(5, 2), "places": np.array([1])},
    )
    shapes = np.array([[3], [1]] * 8 + [[8]] * 4)
    rows = rows_of(Ragged(values=np.zeros(shapes.sum(), np.int64), shapes=shapes))
    assert count_macs(file.read_bytes(), rows, signature_of("INT64", -1)) == 2 * 10


def test_few_rows_are_enough(tmp_path: Path) -> None:
    file = save(
        tmp_path / "model.onnx",
        [node("MatMul", "x w", "logits")],
        [value("x", TensorProto.FLOAT, "batch", 5)],
        [value("logits", TensorProto.FLOAT, "batch", 3)],
        {"w": floats(5, 3)},
    )
    assert count_macs(file.read_bytes(), rows_of(floats(3, 5)), signature_of("FP32", 5)) == 15


def test_a_model_that_multiplies_nothing_needs_a_cost_from_its_user(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"^no multiply-adds can be counted in it: .*\(--macs, in any unit\)"
    ):
        counted(tmp_path, [node("Add", "x w", "logits")], {"w": floats(5)}, 5)


def test_rows_that_the_model_cannot_take_are_refused_in_one_line(tmp_path: Path) -> None:
    file = save(
        tmp_path / "model.onnx",
        [node("MatMul", "x w", "logits")],
        [value("x", TensorProto.FLOAT, "batch", "any")],
        [value("logits", TensorProto.FLOAT, "batch", 3)],
        {"w": floats(5, 3)},
    )
    with pytest.raises(ModelError, match=r"^ONNX Runtime cannot run it: ") as caught:
        count_macs(file.read_bytes(), rows_of(floats(3, 4)), signature_of("FP32", 4))
    assert "\n" not in str(caught.value)
