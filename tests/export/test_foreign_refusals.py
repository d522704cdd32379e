"""Models, samples and options of other people that make no cascade, refused with the reason."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.export.conftest import contents, error_line
from tests.export.foreign_models import add, node, save, value, write_all


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("foreign"))


def identity(path: Path, *outputs: onnx.ValueInfoProto, batch: int | str = "batch") -> None:
    """Gives its FP32 input (batch, 3) back, as whatever is said of it."""
    nodes = [node("Identity", "x", output.name) for output in outputs]
    save(path, nodes, [value("x", TensorProto.FLOAT, batch, 3)], list(outputs), {})


def regression(path: Path) -> None:
    weights = {"w": np.ones((3, 1), np.float32)}
    nodes = [node("MatMul", "x w", "price")]
    save(
        path,
        nodes,
        [value("x", TensorProto.FLOAT, "n", 3)],
        [value("price", TensorProto.FLOAT, "n", 1)],
        weights,
    )


def picture(path: Path) -> None:
    shape = ("n", 3, 8, 8)
    nodes = [node("Identity", "x", "y")]
    save(path, nodes, [value("x", TensorProto.FLOAT, *shape)], [value("y", TensorProto.FLOAT, *shape)], {})


def fixed(path: Path) -> None:
    identity(path, value("logits", TensorProto.FLOAT, 1, 3), batch=1)


def two(path: Path) -> None:
    identity(path, *(value(name, TensorProto.FLOAT, "batch", 3) for name in ("a", "b")))


def without_weights(path: Path) -> None:
    identity(path, value("logits", TensorProto.FLOAT, "batch", 3))


def elsewhere(path: Path) -> None:
    without_weights(path)
    model = onnx.load(path)
    tensor = onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())


def newer(path: Path) -> None:
    without_weights(path)
    model = onnx.load(path)
    model.ir_version = 11
    path.write_bytes(model.SerializeToString())


def no_model(path: Path) -> None:
    path.write_text("no model")


def missing(path: Path) -> None:
    """Nothing is written."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (regression, "is no classifier: no output has rows of floating-point numbers"),
        (picture, r"is no classifier: .* \(y is FP32 \[-1, 3, 8, 8\]\)"),
        (fixed, "its first extent must vary, being the number of rows"),
        (two, r"more than one output could be the classes' .*: name one \(--output\)"),
        (without_weights, r"no multiply-adds can be counted in it: say what a row costs \(--macs"),
        (elsewhere, "keeps tensor 'w' in another file; a member is one file"),
        (newer, "has IR version 11; Triton's ONNX Runtime reads up to 10"),
        (no_model, "not an ONNX file"),
        (missing, "cannot be read"),
    ],
)
def test_what_can_be_no_member_is_refused_with_the_reason(
    make: Callable[[Path], None], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "odd.onnx")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, *((3, 8, 8) if make is picture else (3,)))).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=x, labels=np.arange(60) % 3)
    before = contents(tmp_path)
    assert add(tmp_path, "odd", "odd", "rows") == 2
    line = error_line(capsys.readouterr().err)
    assert line.startswith(f"{tmp_path / 'odd.onnx'}: ")
    assert re.search(message, line), line
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("models", "samples", "options", "message"),
    [
        ("small half", "texts", (), "members of a cascade take the same"),
        ("small", "table", (), "no array 'input_ids', which the model takes; there are: numbers"),
        ("half", "table", ("--classes", "a,b,c"), "has 2 columns, and there are 3 classes"),
        ("half", "table", ("--classes", "a,a"), "2 or more different names"),
        ("half", "table", ("--output", "label"), "is no classifier: .*label is INT64"),
        ("half", "table", ("--output", "odds"), "has no output 'odds'; there are: label, probabilities"),
        ("small", "texts", ("--output-kind", "probabilities"), "its rows do not add up to 1"),
        ("half", "table", ("--macs", "1,2"), "macs: 2 given, and there are 1 models"),
        ("half", "table", ("--macs", "-1"), "macs must be finite numbers above 0"),
        ("half", "table", ("--format", "tensorrt"), "needs the Python package 'tensorrt'"),
        ("half", "nowhere", (), "no such file"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    models: str,
    samples: str,
    options: tuple[str, ...],
    message: str,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert add(place, "odd", models, samples, *options, "--repository", str(tmp_path / "models")) == 2
    assert re.search(message, error_line(capsys.readouterr().err))
    assert list(tmp_path.iterdir()) == []
