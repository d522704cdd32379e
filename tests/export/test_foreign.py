"""Models that nobody here trained, from an ONNX file to answers over the wire."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from onnx import TensorProto

from cascade.cascade_file import read_cascade
from cascade.replay import replay
from cascade.scores_file import read_scores
from export.cli import main
from export.verify import verify
from tests.export.conftest import contents, error_line
from tests.export.foreign_models import (
    TOPICS,
    node,
    save,
    table,
    tabular_classifier,
    text_classifier,
    texts,
    value,
)
from tests.servers import Server, serving

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    text_classifier(folder / "small.onnx", strength=1, seed=1)
    text_classifier(folder / "large.onnx", strength=4, seed=2)
    texts(folder / "texts.npz")
    tabular_classifier(folder / "half.onnx", sees_colour=False)
    tabular_classifier(folder / "whole.onnx", sees_colour=True)
    table(folder / "table.npz")
    return folder


def add(place: Path, name: str, models: str, samples: str, *options: str) -> int:
    files = [str(place / f"{model}.onnx") for model in models.split()]
    where = [
        "--repository",
        str(place / "models"),
        "--name",
        name,
        "--samples",
        str(place / f"{samples}.npz"),
    ]
    return main(["add", *files, *where, *options])


@pytest.fixture(scope="module")
def repository(place: Path) -> Path:
    """Both cascades, in one repository."""
    goal = ("--objective", "accuracy", "--budget", "1.5x")
    assert add(place, "topics", "small large", "texts", *goal) == 0
    assert add(place, "customers", "half whole", "table", *goal, "--classes", "stays,leaves") == 0
    return place / "models"


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository) as running:
        yield running


def test_a_text_classifier_becomes_a_cascade(place: Path, repository: Path) -> None:
    cascade = read_cascade(repository / "topics.cascade.json")
    assert [(spec.name, spec.datatype, spec.shape) for spec in cascade.inputs] == [
        ("input_ids", "INT64", (-1, -1)),
        ("attention_mask", "INT64", (-1, -1)),
    ]
    assert (cascade.classes, cascade.stages) == (TOPICS, (("topics-0",), ("topics-1",)))
    assert {(member.output_kind, member.macs) for member in cascade.members} == {("logits", 9)}
    for name in ("small", "large"):
        member = cascade.member(f"topics-{int(name == 'large')}")
        assert (repository / member.file).read_bytes() == (place / f"{name}.onnx").read_bytes()
    scores = read_scores(repository / "topics.scores.npz")
    accuracy = (scores.outputs.argmax(axis=2) == scores.labels).mean(axis=1)
    assert accuracy[0] < 0.7 and accuracy[1] > 0.8


def test_a_tabular_classifier_gives_probabilities_beside_its_label(repository: Path) -> None:
    cascade = read_cascade(repository / "customers.cascade.json")
    assert [(spec.name, spec.datatype, spec.shape) for spec in cascade.inputs] == [
        ("numbers", "FP64", (-1, 2)),
        ("colour", "INT32", (-1, 1)),
        ("is_member", "BOOL", (-1, 1)),
    ]
    assert cascade.classes == ("stays", "leaves")
    assert {(member.output, member.output_kind) for member in cascade.members} == {
        ("probabilities", "probabilities")
    }
    assert read_scores(repository / "customers.scores.npz").kind == "probabilities"


def test_the_whole_repository_is_as_it_should_be(repository: Path) -> None:
    findings = list(verify(repository))
    assert [finding for finding in findings if finding.problem is not None] == []
    assert len(findings) == 2 * (1 + 2 + 1)


@CLIENTS
def test_texts_of_every_length_are_answered_as_in_the_replay(
    module: object, place: Path, repository: Path, server: Server
) -> None:
    with np.load(place / "texts.npz") as samples:
        lengths = samples["input_ids.shapes"][:, 0]
        rows = np.split(samples["input_ids"], np.cumsum(lengths)[:-1])
    cascade = read_cascade(repository / "topics.cascade.json")
    played = replay(cascade.policies["window"], cascade.stages, read_scores(repository / "topics.scores.npz"))
    stages = set()
    for length in np.unique(lengths):
        index = np.flatnonzero(lengths == length)
        ids = np.stack([rows[row] for row in index])
        answer = infer(module, server, "topics", input_ids=ids, attention_mask=np.ones_like(ids))
        np.testing.assert_allclose(
            answer.as_numpy("probabilities"), played.probabilities[index], atol=1e-5, rtol=0
        )
        np.testing.assert_array_equal(answer.as_numpy("exit_stage"), played.exit_stage[index])
        stages |= set(answer.as_numpy("exit_stage").tolist())
    assert stages == {1, 2}


@CLIENTS
def test_rows_of_a_table_are_answered_as_in_the_replay(
    module: object, place: Path, repository: Path, server: Server
) -> None:
    with np.load(place / "table.npz") as samples:
        arrays = {name: samples[name] for name in ("numbers", "colour", "is_member")}
    answer = infer(module, server, "customers", **arrays)
    cascade = read_cascade(repository / "customers.cascade.json")
    scores = read_scores(repository / "customers.scores.npz")
    played = replay(cascade.policies["window"], cascade.stages, scores)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), played.probabilities, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(answer.as_numpy("label"), played.label)
    np.testing.assert_array_equal(answer.as_numpy("exit_stage"), played.exit_stage)
    assert 0.05 < (played.exit_stage == 2).mean() < 0.95


def infer(module: object, server: Server, name: str, **arrays: np.ndarray) -> object:
    """The answer to one request, by policy `window`."""
    datatypes = {"float64": "FP64", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}
    inputs = [
        module.InferInput(key, list(array.shape), datatypes[array.dtype.name]).set_data_from_numpy(array)  # type: ignore[attr-defined]
        for key, array in arrays.items()
    ]
    address = server.http if module is triton_http else server.grpc
    with module.InferenceServerClient(address) as client:  # type: ignore[attr-defined]
        return client.infer(name, inputs, parameters={"policy": "window"})


def test_torch_is_not_needed(place: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from export.cli import main; status = main(sys.argv[1:]); "
        "assert not {'torch', 'training'} & set(sys.modules); sys.exit(status)"
    )
    files = [str(place / "half.onnx"), "--samples", str(place / "table.npz")]
    where = ["--repository", str(tmp_path / "models"), "--name", "one"]
    goal = ["--objective", "accuracy", "--triton-backend", "python", "--tune", "--budget", "1s"]
    command = [sys.executable, "-c", program, "add", *files, *where, *goal]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (member,) = read_cascade(tmp_path / "models" / "one.cascade.json").members
    assert member.service_curve is not None
    assert (tmp_path / "models" / "one-0" / "1" / "model.py").is_file()


def test_costs_are_the_users_where_none_can_be_counted(place: Path, tmp_path: Path) -> None:
    given = ("--macs", "5,20", "--objective", "accuracy", "--repository", str(tmp_path / "models"))
    assert add(place, "customers", "half whole", "table", *given) == 0
    cascade = read_cascade(tmp_path / "models" / "customers.cascade.json")
    assert cascade.stage_macs == (5, 20)
    assert cascade.classes == ("0", "1")


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
        ("half", "table", ("--macs", "1,2"), "macs has 2 numbers, and there are 1 models"),
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
