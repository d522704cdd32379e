from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from cascade.cascade_file import TensorSpec
from export.errors import GraphError
from export.inference import classifier_of, open_session
from export.onnx_file import MAX_IR_VERSION, MAX_OPSET, check_versions, check_whole
from export.precision import convert, spread
from export.rows import Ragged, Rows, read_rows, run_over
from export.signature import plain_signature
from tests.export.conftest import NUM_ROWS
from tests.export.foreign_models import node, save, value

IMAGE = TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, 8, 1))
SIGNATURE = plain_signature((IMAGE,), 10)
PRECISIONS = pytest.mark.parametrize("precision", ["fp16", "int8"])


@pytest.fixture(scope="module")
def rows(run_folder: Path) -> Rows:
    return read_rows(run_folder / "splits" / "calibration.npz", (IMAGE,), 10)


@pytest.fixture(scope="module")
def plain(published: Path) -> bytes:
    return (published / "digits-0" / "1" / "model.onnx").read_bytes()


@pytest.fixture(scope="module")
def converted(plain: bytes, rows: Rows) -> dict[str, bytes]:
    return {precision: convert(plain, precision, rows, SIGNATURE) for precision in ("fp32", "fp16", "int8")}


def read(content: bytes) -> onnx.ModelProto:
    return onnx.load_model_from_string(content)


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_fp32_is_the_file_itself(plain: bytes, converted: dict[str, bytes]) -> None:
    assert converted["fp32"] == plain


@PRECISIONS
def test_inputs_and_outputs_keep_their_types(converted: dict[str, bytes], precision: str) -> None:
    model = read(converted[precision])
    onnx.checker.check_model(model, full_check=True)
    assert [(part.name, part.type.tensor_type.elem_type) for part in model.graph.input] == [
        ("image", TensorProto.UINT8)
    ]
    assert [(part.name, part.type.tensor_type.elem_type) for part in model.graph.output] == [
        ("logits", TensorProto.FLOAT)
    ]
    for part in (*model.graph.input, *model.graph.output):
        assert part.type.tensor_type.shape.dim[0].dim_param == "batch"


@pytest.mark.parametrize(
    ("precision", "difference", "changed"), [("fp16", 0.001, 0.01), ("int8", 0.05, 0.15)]
)
def test_outputs_are_nearly_those_of_float(
    converted: dict[str, bytes], precision: str, difference: float, changed: float, rows: Rows
) -> None:
    """Random weights favour one class on all rows: it stays, and so do most of the nearly equal others."""
    plain, other = (
        run_over(classifier_of(open_session(converted[name], num_threads=1), SIGNATURE), rows, 60)
        for name in ("fp32", precision)
    )
    assert 0 < np.abs(plain - other).max() < difference
    np.testing.assert_array_equal(plain.argmax(axis=1), other.argmax(axis=1))
    usual = plain.mean(axis=0)
    beside_it, other_beside_it = (plain - usual).argmax(axis=1), (other - usual).argmax(axis=1)
    assert len(set(beside_it)) == 10
    assert (beside_it != other_beside_it).mean() < changed


@PRECISIONS
def test_any_number_of_rows_passes(converted: dict[str, bytes], precision: str, rows: Rows) -> None:
    classify = classifier_of(open_session(converted[precision], num_threads=1), SIGNATURE)
    together = classify(rows.take(np.arange(5)))
    assert together.shape == (5, 10)
    np.testing.assert_allclose(classify(rows.take(np.arange(1))), together[:1], atol=0.01)


@PRECISIONS
def test_nothing_tells_where_or_by_what_it_was_made(converted: dict[str, bytes], precision: str) -> None:
    model = read(converted[precision])
    check_whole(model)
    assert all(not part.doc_string and not part.metadata_props for part in (model, model.graph))
    assert all(not part.doc_string and not part.metadata_props for part in model.graph.node)
    for trace in (b"/tmp/", b"/home/", b"site-packages"):
        assert trace not in converted[precision]


@PRECISIONS
def test_every_runtime_in_use_loads_it(converted: dict[str, bytes], precision: str) -> None:
    model = read(converted[precision])
    check_versions(model)
    assert model.ir_version <= MAX_IR_VERSION
    # Operators of other domains would be known to ONNX Runtime alone.
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert all(entry.version <= MAX_OPSET for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


@PRECISIONS
def test_the_same_model_and_rows_give_the_same_bytes(
    plain: bytes, converted: dict[str, bytes], precision: str, rows: Rows
) -> None:
    assert convert(plain, precision, rows, SIGNATURE) == converted[precision]


def test_fp16_halves_the_weights(plain: bytes, converted: dict[str, bytes]) -> None:
    kinds = Counter(
        array.dtype.name for array in weights_of(read(converted["fp16"])).values() if array.ndim > 1
    )
    assert kinds == {"float16": sum(array.ndim > 1 for array in weights_of(read(plain)).values())}
    assert len(converted["fp16"]) < 0.6 * len(plain)


def test_int8_has_quantised_convolutions_and_a_last_layer_of_floats(converted: dict[str, bytes]) -> None:
    model = read(converted["int8"])
    producers = {name: each for each in model.graph.node for name in each.output}
    operators = Counter(each.op_type for each in model.graph.node)
    assert operators["QuantizeLinear"] > 5 and operators["Gemm"] == 1
    for each in model.graph.node:
        origins = [producers[name].op_type for name in each.input if name in producers]
        if each.op_type == "Conv":
            assert set(origins) == {"DequantizeLinear"}
        if each.op_type == "Gemm":
            weights = [array for name, array in weights_of(model).items() if name in each.input]
            assert [array.dtype.name for array in weights] == ["float32"] * 2


def test_weights_of_int8_have_a_scale_per_channel_and_keep_seven_bits(converted: dict[str, bytes]) -> None:
    """On processors without VNNI eight bits would saturate."""
    model = read(converted["int8"])
    arrays = weights_of(model)
    kernels = {name: array for name, array in arrays.items() if array.dtype == np.int8 and array.ndim == 4}
    assert len(kernels) == sum(each.op_type == "Conv" for each in model.graph.node)
    for array in kernels.values():
        assert abs(array.astype(int)).max() == 64
    for each in model.graph.node:
        if each.op_type == "DequantizeLinear" and each.input[0] in kernels:
            assert arrays[each.input[1]].shape == (len(kernels[each.input[0]]),)
            assert not arrays[each.input[2]].any()


def test_a_model_of_one_layer_leaves_nothing_to_quantise(tmp_path: Path, rows: Rows) -> None:
    file = save(
        tmp_path / "model.onnx",
        [
            node("Cast", "image", "pixels", to=TensorProto.FLOAT),
            node("Flatten", "pixels", "flat"),
            node("Gemm", "flat weights", "logits"),
        ],
        [value("image", TensorProto.UINT8, "batch", 8, 8, 1)],
        [value("logits", TensorProto.FLOAT, "batch", 10)],
        {"weights": np.ones((64, 10), np.float32)},
    )
    with pytest.raises(GraphError, match=r"^cannot be made int8: there is nothing to quantise in it"):
        convert(file.read_bytes(), "int8", rows, SIGNATURE)


@PRECISIONS
def test_tools_that_fail_are_quiet_and_told_in_one_line(
    precision: str, rows: Rows, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GraphError, match=f"^cannot be made {precision}: ") as caught:
        convert(b"no model", precision, rows, SIGNATURE)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_ranges_are_looked_for_in_batches_of_all_kinds() -> None:
    """Each batch once, and not in their order."""
    rows = Rows(inputs={"x": np.zeros((NUM_ROWS, 1))}, labels=np.zeros(NUM_ROWS, np.int64))
    firsts = [int(index[0]) for index in spread(rows)]
    assert sorted(firsts) == list(range(0, 240, 16)) != firsts
    lengths = Ragged(values=np.zeros(30), shapes=np.array([[1], [2]] * 10))
    ragged = Rows(inputs={"x": lengths}, labels=np.zeros(20, np.int64))
    assert sorted(index.tolist() for index in spread(ragged)) == [[*range(0, 20, 2)], [*range(1, 20, 2)]]
