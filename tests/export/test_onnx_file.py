from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.errors import ModelError
from export.onnx_file import check_versions, check_whole, read_onnx, strip_notes
from tests.export.foreign_models import node, value


def tensor(name: str, *values: float) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


def sparse(name: str) -> onnx.SparseTensorProto:
    """Three numbers, of which the first is 2."""
    indices = numpy_helper.from_array(np.array([0]), f"{name}-indices")
    return helper.make_sparse_tensor(tensor(name, 2), indices, [3])


def model_of(nodes: list[onnx.NodeProto], functions: tuple[onnx.FunctionProto, ...] = ()) -> onnx.ModelProto:
    """From `x` to `y`, three numbers a row; `weights` and `few` are given."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [value("x", TensorProto.FLOAT, "batch", 3)],
        [value("y", TensorProto.FLOAT, "batch", 3)],
        [tensor("weights", 1, 2, 3)],
        sparse_initializer=[sparse("few")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=list(functions))


def branch(name: str) -> onnx.GraphProto:
    constant = node("Constant", "", f"{name}-constant", value=tensor(f"in-{name}", 1))
    output = value(f"{name}-constant", TensorProto.FLOAT, 1)
    return helper.make_graph([constant], name, [], [output])


def rich_model() -> onnx.ModelProto:
    """A tensor in every place that a model has for one."""
    inner = [
        node("Constant", "", "offset", value=tensor("in-function", 1)),
        node("Add", "a offset", "b"),
    ]
    function = helper.make_function("own", "shift", ["a"], ["b"], inner, [helper.make_opsetid("", 18)])
    nodes = [
        node("Constant", "", "constant", value=tensor("in-node", 1)),
        node("Constant", "", "thin", sparse_value=sparse("in-sparse-attribute")),
        node("Constant", "", "condition", value=numpy_helper.from_array(np.array(True), "is-true")),
        node("If", "condition", "chosen", then_branch=branch("then"), else_branch=branch("else")),
        node("shift", "x", "shifted", domain="own"),
        node("Sum", "shifted weights constant thin chosen few", "y"),
    ]
    return model_of(nodes, (function,))


def attribute(message: onnx.NodeProto) -> onnx.AttributeProto:
    return message.attribute[0]


def branches(model: onnx.ModelProto) -> dict[str, onnx.GraphProto]:
    return {part.name: part.g for part in model.graph.node[3].attribute}


PLACES: dict[str, Callable[[onnx.ModelProto], TensorProto]] = {
    "weights": lambda model: model.graph.initializer[0],
    "in-node": lambda model: attribute(model.graph.node[0]).t,
    "in-then": lambda model: attribute(branches(model)["then_branch"].node[0]).t,
    "in-else": lambda model: attribute(branches(model)["else_branch"].node[0]).t,
    "few": lambda model: model.graph.sparse_initializer[0].values,
    "few-indices": lambda model: model.graph.sparse_initializer[0].indices,
    "in-sparse-attribute": lambda model: attribute(model.graph.node[1]).sparse_tensor.values,
    "in-sparse-attribute-indices": lambda model: attribute(model.graph.node[1]).sparse_tensor.indices,
    "in-function": lambda model: attribute(model.functions[0].node[0]).t,
}


def say_external(found: TensorProto) -> None:
    found.data_location = TensorProto.EXTERNAL
    found.external_data.add(key="location", value="../../etc/passwd")


def name_a_file(found: TensorProto) -> None:
    """Readers differ in whether they look at this without the former."""
    found.external_data.add(key="location", value="weights.bin")


def test_a_whole_model_is_read() -> None:
    content = rich_model().SerializeToString()
    assert read_onnx(content).SerializeToString() == content


@pytest.mark.parametrize("change", [say_external, name_a_file])
@pytest.mark.parametrize("name", PLACES)
def test_data_in_another_file_is_refused_wherever_it_is_named(
    name: str, change: Callable[[TensorProto], None]
) -> None:
    model = rich_model()
    change(PLACES[name](model))
    with pytest.raises(ModelError, match=rf"^keeps tensor '{name}' in another file; a member is one file"):
        read_onnx(model.SerializeToString())


def test_data_outside_is_found_at_any_depth() -> None:
    """A loop within a loop within a list of graphs."""
    deep = branch("deep")
    say_external(attribute(deep.node[0]).t)
    for depth in range(5):
        outer = node("Loop", "", f"loop-{depth}", body=deep)
        deep = helper.make_graph([outer], f"depth-{depth}", [], [])
    model = model_of([helper.make_node("Any", [], [], domain="own", bodies=[branch("other"), deep])])
    with pytest.raises(ModelError, match="keeps tensor 'in-deep' in another file"):
        check_whole(model)


@pytest.mark.parametrize("content", [b"no model", b"\xff" * 100, b"\x08"])
def test_what_is_no_onnx_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"^not an ONNX file") as caught:
        read_onnx(content)
    assert "\n" not in str(caught.value)


def test_a_model_of_nothing_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^the graph is not valid"):
        read_onnx(b"")


def test_a_graph_that_does_not_hang_together_is_refused_in_one_line() -> None:
    model = model_of([node("Add", "x nobody", "y")])
    with pytest.raises(ModelError, match=r"^the graph is not valid: .*nobody") as caught:
        read_onnx(model.SerializeToString())
    assert "\n" not in str(caught.value)


def versioned(ir_version: int, **opsets: int) -> onnx.ModelProto:
    model = onnx.ModelProto(ir_version=ir_version)
    for domain, version in opsets.items():
        model.opset_import.add(domain=domain.replace("default", "").replace("_", "."), version=version)
    return model


def test_versions_that_every_runtime_in_use_knows_pass() -> None:
    check_versions(versioned(10, default=21))
    check_versions(versioned(3, ai_onnx=7))
    check_versions(versioned(10, default=18, ai_onnx_ml=99))


def test_newer_versions_are_refused() -> None:
    with pytest.raises(ModelError, match=r"IR version 11; Triton's ONNX Runtime reads up to 10"):
        check_versions(versioned(11, default=18))
    for domain in ("default", "ai_onnx"):
        with pytest.raises(ModelError, match=r"operator set 22; Triton's ONNX Runtime knows up to 21"):
            check_versions(versioned(10, **{domain: 22}))


NOTE = "/home/someone/model.py"


def test_notes_are_dropped_at_every_level_and_nothing_else() -> None:
    bare = rich_model()
    noted = rich_model()
    inner = branches(noted)["then_branch"]
    for part in (noted, noted.graph, noted.graph.node[0], noted.graph.input[0], noted.functions[0], inner):
        part.doc_string = NOTE
        part.metadata_props.add(key="path", value=NOTE)
    inner.node[0].attribute[0].doc_string = NOTE
    noted.graph.initializer[0].doc_string = NOTE
    assert NOTE.encode() in noted.SerializeToString()
    strip_notes(noted)
    assert noted == bare
