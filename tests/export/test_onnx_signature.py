import onnx
import pytest
from onnx import TensorProto, helper

from cascade.cascade_file import TensorSpec
from export.errors import ModelError
from export.onnx_signature import read_inputs, read_output
from tests.export.foreign_models import value

FLOAT = TensorProto.FLOAT


def takes(*inputs: onnx.ValueInfoProto, given: tuple[str, ...] = ()) -> onnx.ModelProto:
    """`given` name the inputs that have an initialiser."""
    constants = [helper.make_tensor(name, FLOAT, [1], [0.0]) for name in given]
    return helper.make_model(helper.make_graph([], "graph", inputs, [], constants))


def gives(*outputs: onnx.ValueInfoProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph([], "graph", [], outputs))


def of_sequence(name: str) -> onnx.ValueInfoProto:
    """What scikit-learn's converter makes of probabilities unless it is told not to (ZipMap)."""
    of_map = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, []))
    return helper.make_value_info(name, helper.make_sequence_type_proto(of_map))


def of_map(name: str) -> onnx.ValueInfoProto:
    inner = helper.make_tensor_type_proto(FLOAT, [])
    return helper.make_value_info(name, helper.make_map_type_proto(TensorProto.STRING, inner))


def of_any_shape(name: str, kind: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, None)


def test_inputs_are_what_the_file_says() -> None:
    model = takes(
        value("image", TensorProto.UINT8, "batch", 8, "width", 3), value("text", TensorProto.STRING, "n")
    )
    assert read_inputs(model) == (
        TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, -1, 3)),
        TensorSpec(name="text", datatype="BYTES", shape=(-1,)),
    )


def test_an_input_with_an_initialiser_is_a_default() -> None:
    model = takes(value("weights", FLOAT, 1), value("x", FLOAT, "batch", 1), given=("weights",))
    assert [spec.name for spec in read_inputs(model)] == ["x"]
    with pytest.raises(ModelError, match=r"^takes no input$"):
        read_inputs(takes(value("weights", FLOAT, 1), given=("weights",)))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (value("x", FLOAT, 1, 3), r"input 'x' is FP32 \[1, 3\]; its first extent must vary, .*dynamic batch"),
        (value("x", FLOAT), r"input 'x' is FP32 \[\]; its first extent must vary"),
        (of_any_shape("x", FLOAT), "input 'x' says nothing of its shape"),
        (of_sequence("x"), "input 'x' is a sequence, which no request can carry"),
        (of_map("x"), "input 'x' is a map, which no request can carry"),
        (value("x", TensorProto.BFLOAT16, "n", 3), "input 'x' is of no known type, which no request can"),
    ],
)
def test_inputs_that_no_request_can_fill_are_refused(bad: onnx.ValueInfoProto, message: str) -> None:
    with pytest.raises(ModelError, match=f"^{message}"):
        read_inputs(takes(value("other", FLOAT, "batch"), bad))


@pytest.mark.parametrize(
    ("kind", "datatype"),
    [(TensorProto.FLOAT16, "FP16"), (TensorProto.FLOAT, "FP32"), (TensorProto.DOUBLE, "FP64")],
)
def test_an_output_of_any_float_is_a_classifiers(kind: int, datatype: str) -> None:
    assert read_output(gives(value("scores", kind, "batch", 7)), "") == ("scores", datatype, 7)


def test_columns_may_be_left_open() -> None:
    assert read_output(gives(value("scores", FLOAT, "batch", "classes")), "") == ("scores", "FP32", 0)
    assert read_output(gives(of_any_shape("scores", FLOAT)), "") == ("scores", "FP32", 0)


def test_the_only_output_that_can_be_one_is_found_among_others() -> None:
    model = gives(
        value("label", TensorProto.INT64, "batch"),
        value("features", FLOAT, "batch", 7, 7, 64),
        value("confidence", FLOAT, "batch", 1),
        value("probabilities", FLOAT, "batch", 2),
    )
    assert read_output(model, "") == ("probabilities", "FP32", 2)


def test_one_of_several_candidates_is_to_be_named() -> None:
    model = gives(value("logits", FLOAT, "batch", 5), value("auxiliary", TensorProto.DOUBLE, "n", 9))
    told = r"\(logits is FP32 \[-1, 5\]; auxiliary is FP64 \[-1, 9\]\): name one \(--output\)"
    with pytest.raises(ModelError, match=f"^more than one output could be the classes' {told}"):
        read_output(model, "")
    assert read_output(model, "auxiliary") == ("auxiliary", "FP64", 9)


def test_an_unknown_output_is_refused_with_those_that_there_are() -> None:
    model = gives(value("label", TensorProto.INT64, "batch"), value("logits", FLOAT, "batch", 5))
    with pytest.raises(ModelError, match=r"^has no output 'scores'; there are: label, logits$"):
        read_output(model, "scores")


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (of_sequence("p"), "p is a sequence"),
        (of_map("p"), "p is a map"),
        (value("p", TensorProto.INT64, "batch", 3), r"p is INT64 \[-1, 3\]"),
        (of_any_shape("p", TensorProto.BOOL), "p is BOOL of any shape"),
        (value("p", FLOAT, "batch", 1), r"p is FP32 \[-1, 1\]"),
        (value("p", FLOAT, "batch"), r"p is FP32 \[-1\]"),
        (value("p", FLOAT, 1, 3), r"p is FP32 \[1, 3\]"),
        (value("p", FLOAT, "batch", 3, 3), r"p is FP32 \[-1, 3, 3\]"),
        (value("p", TensorProto.BFLOAT16, "batch", 3), "p is of no known type"),
    ],
)
def test_what_is_no_classifier_is_told_with_all_its_outputs(other: onnx.ValueInfoProto, told: str) -> None:
    model = gives(value("label", TensorProto.INT64, "batch"), other)
    reason = r"is no classifier: no output has rows of floating-point numbers, one for each of two or more"
    with pytest.raises(ModelError, match=rf"^{reason} classes \(label is INT64 \[-1\]; {told}\)$"):
        read_output(model, "")
    with pytest.raises(ModelError, match=rf"^{reason} classes \({told}\)$"):
        read_output(model, "p")
