import pytest

from cascade.cascade_file import TensorSpec
from loadtest.errors import TargetError
from loadtest.wire.served import ALL_OUTPUTS, LEAN_OUTPUTS, served_cascade, served_plain
from tests.loadtest.tiny_server import tiny_cascade

X = TensorSpec(name="x", datatype="FP32", shape=(-1, 2))


def output(name: str, datatype: str = "FP32", *shape: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape or (-1, 10))


def test_a_cascade_has_stages_classes_and_all_outputs() -> None:
    served = served_cascade(tiny_cascade())
    assert (served.name, served.num_stages, served.num_classes) == ("tiny", 2, 2)
    assert served.asked(LEAN_OUTPUTS) == LEAN_OUTPUTS
    assert served.asked(("probabilities",)) == ("probabilities",)
    assert set(LEAN_OUTPUTS) < set(ALL_OUTPUTS)


def test_a_plain_model_is_read_by_its_scores() -> None:
    others = [output("embedding", "FP32", -1, 7, 7), output("ids", "INT64")]
    served = served_plain("m", [X], [*others, output("logits")])
    assert (served.num_stages, served.num_classes, served.scores_output) == (1, None, "logits")
    assert served.asked(LEAN_OUTPUTS) == ("logits",)


def test_or_by_a_label_of_its_own() -> None:
    outputs = [output("label", "INT64", -1), output("logits")]
    assert served_plain("m", [X], outputs).asked(LEAN_OUTPUTS) == ("label",)
    named = served_plain("m", [X], outputs, "logits")
    assert named.scores_output == "logits"
    assert named.asked(("label",)) == ("logits",)


@pytest.mark.parametrize("label", [output("label", "BYTES", -1), output("label", "FP32", -1, 5)])
def test_a_label_that_is_no_number_for_each_row_is_none(label: TensorSpec) -> None:
    assert served_plain("m", [X], [label, output("logits")], "logits").scores_output == "logits"
    with pytest.raises(TargetError, match="which output holds a number per class is not clear"):
        served_plain("m", [X], [label, output("a"), output("b")])


@pytest.mark.parametrize(
    ("outputs", "asked", "message"),
    [
        ([output("a"), output("b")], None, "name it with --output; there are: a, b"),
        ([output("ids", "INT64")], None, "there are: none"),
        ([output("a")], "b", "has no output 'b' with a number per class; there are: a"),
        ([output("a"), output("ids", "INT64")], "ids", "has no output 'ids'"),
    ],
)
def test_what_can_t_be_read_is_named(outputs: list[TensorSpec], asked: str | None, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        served_plain("m", [X], outputs, asked)
