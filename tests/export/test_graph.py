from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from cascade.cascade_file import TensorSpec
from export.errors import GraphError
from export.graph import check_graph, export_graph
from export.signature import plain_signature
from tests.export.conftest import SPEC, calibration_images, torch_logits
from training.models import load_member

SIGNATURE = plain_signature((TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, 8, 1)),), 10)


@pytest.fixture(scope="module")
def graph(run_folder: Path) -> onnx.ModelProto:
    model, _ = load_member(run_folder / "member-0")
    return onnx.load_from_string(export_graph(model, SIGNATURE))


def run(graph: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": images})
    return np.asarray(logits)


@pytest.mark.parametrize("num_rows", [1, 2, 7, 64])
def test_a_graph_computes_what_its_model_computes(
    graph: onnx.ModelProto, run_folder: Path, num_rows: int
) -> None:
    images = calibration_images(run_folder)[100 : 100 + num_rows]
    expected = torch_logits(run_folder / "member-0", images)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(run(graph, images), expected, atol=1e-5, rtol=0)


def test_a_session_takes_raw_pixels_and_gives_logits(graph: onnx.ModelProto) -> None:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = [(part.name, part.type, part.shape) for part in session.get_inputs()]
    outputs = [(part.name, part.type, part.shape) for part in session.get_outputs()]
    assert inputs == [("image", "tensor(uint8)", ["batch", 8, 8, 1])]
    assert outputs == [("logits", "tensor(float)", ["batch", 10])]
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 18)]


def test_normalisation_is_inside(graph: onnx.ModelProto, run_folder: Path) -> None:
    """Against the network behind it, fed with pixels that are normalised here."""
    model, _ = load_member(run_folder / "member-0")
    images = calibration_images(run_folder)[:8]
    pixels = (images.transpose(0, 3, 1, 2) / 255 - SPEC.mean[0]) / SPEC.std[0]
    with torch.inference_mode():
        expected = model.backbone(torch.from_numpy(pixels.astype(np.float32))).numpy()
    np.testing.assert_allclose(run(graph, images), expected, atol=1e-5, rtol=0)


def test_the_same_model_gives_the_same_bytes(run_folder: Path, published: Path) -> None:
    model, _ = load_member(run_folder / "member-0")
    assert export_graph(model, SIGNATURE) == (published / "digits-0/1/model.onnx").read_bytes()


def test_a_graph_does_not_tell_where_it_was_made(graph: onnx.ModelProto) -> None:
    content = graph.SerializeToString()
    for secret in (Path(torch.__file__).parent, Path(__file__).parents[2], Path.home()):
        assert str(secret).encode() not in content
    assert b"stack_trace" not in content and b".py" not in content


class FixedRows(nn.Module):
    """Takes the number of rows for a constant."""

    def forward(self, image: Tensor) -> Tensor:
        return image.float().reshape(2, -1)[:, :10]


class LooksAtPixels(nn.Module):
    """Goes one way or another by what it sees, which no graph of fixed nodes can."""

    def forward(self, image: Tensor) -> Tensor:
        logits = image.float().flatten(1)[:, :10]
        return logits if image.sum() > 9 else -logits


class TwoOutputs(nn.Module):
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits = image.float().flatten(1)[:, :10]
        return logits, logits + 1


class TooFewClasses(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.float().flatten(1)[:, :9]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LooksAtPixels, "cannot export it"),
        (FixedRows, "outputs are"),
        (TwoOutputs, "outputs are"),
        (TooFewClasses, "outputs are"),
    ],
)
def test_other_graphs_than_asked_for_are_refused(model: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        export_graph(model().eval(), SIGNATURE)


def test_what_the_exporter_says_is_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GraphError, match="data-dependent"):
        export_graph(LooksAtPixels().eval(), SIGNATURE)
    assert capfd.readouterr() == ("", "")


def newer(graph: onnx.ModelProto) -> None:
    graph.opset_import[0].version = 19


def invalid(graph: onnx.ModelProto) -> None:
    graph.graph.node[0].input[0] = "nothing"


def external(graph: onnx.ModelProto) -> None:
    graph.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def renamed(graph: onnx.ModelProto) -> None:
    graph.graph.node.append(onnx.helper.make_node("Identity", ["image"], ["pixels"]))
    graph.graph.input[0].name = "x"
    graph.graph.node[0].input[0] = "x"
    graph.graph.node[-1].input[0] = "x"


def fixed(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (newer, "operator sets {'': 19}"),
        (invalid, "not valid"),
        (external, "not valid|another file"),
        (renamed, "inputs are"),
        (fixed, "not valid|inputs are"),
    ],
)
def test_a_changed_graph_is_refused(
    graph: onnx.ModelProto, change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    changed = onnx.ModelProto()
    changed.CopyFrom(graph)
    check_graph(changed, SIGNATURE)
    change(changed)
    with pytest.raises(GraphError, match=message):
        check_graph(changed, SIGNATURE)
