"""Models that nobody here trained, from an ONNX file to answers over the wire."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from onnx import TensorProto

from cascade.cascade_file import read_cascade
from cascade.replay import replay
from cascade.scores_file import read_scores
from export.verify import verify
from tests.export.conftest import error_line
from tests.export.foreign_models import TOPICS, add, node, save, value, write_all
from tests.servers import Server, serving

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("foreign"))


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


def mlp(path: Path, *, labelled: bool = False) -> Path:
    """Three layers whose nodes have no names, over FP32 inputs."""
    generator = np.random.default_rng(0)
    shapes = ((3, 16), (16, 16), (16, 3))
    weights = {
        f"w{place}": generator.normal(size=shape).astype(np.float32) for place, shape in enumerate(shapes)
    }
    name = "labels" if labelled else "x"
    nodes = [
        node("MatMul", f"{name} w0", "a"),
        node("Relu", "a", "b"),
        node("MatMul", "b w1", "c"),
        node("Relu", "c", "d"),
        node("MatMul", "d w2", "logits"),
    ]
    inputs = [value(name, TensorProto.FLOAT, "n", 3)]
    return save(path, nodes, inputs, [value("logits", TensorProto.FLOAT, "n", 3)], weights)


def einsum(path: Path) -> Path:
    weights = {"w": np.ones((3, 3), np.float32)}
    nodes = [node("Einsum", "x w", "logits", equation="nk,kc->nc")]
    inputs = [value("x", TensorProto.FLOAT, "n", 3)]
    return save(path, nodes, inputs, [value("logits", TensorProto.FLOAT, "n", 3)], weights)


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Rows of three numbers, and names of classes as bytes."""
    x = np.random.default_rng(1).normal(size=(80, 3)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=x, labels=np.arange(80) % 3, classes=np.array([b"a", b"b", b"c"]))
    return tmp_path


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_files_at_other_precisions_are_in_order(precision: str, numbers: Path) -> None:
    mlp(numbers / "mlp.onnx")
    options = ("--objective", "accuracy", "--precision", precision, "--max-changed", "0.2")
    assert add(numbers, "mlp", "mlp", "rows", *options) == 0
    assert [finding for finding in verify(numbers / "models") if finding.problem is not None] == []
    cascade = read_cascade(numbers / "models" / "mlp.cascade.json")
    assert cascade.classes == ("a", "b", "c")
    assert [(member.name, member.precision) for member in cascade.members] == [
        (f"mlp-0-{precision}", precision)
    ]


def test_what_multiplies_uncounted_is_told(numbers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    einsum(numbers / "sum.onnx")
    assert add(numbers, "sum", "sum", "rows") == 2
    assert "Einsum multiplies, and is not counted: say what a row costs" in error_line(
        capsys.readouterr().err
    )


def test_an_input_may_not_be_called_as_the_labels_are(
    numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mlp(numbers / "odd.onnx", labelled=True)
    assert add(numbers, "odd", "odd", "rows") == 2
    assert "input 'labels' has a name that samples keep" in error_line(capsys.readouterr().err)


def test_a_script_that_was_changed_is_noticed_and_replaced_by_a_new_version(numbers: Path) -> None:
    mlp(numbers / "mlp.onnx")
    options = ("--objective", "accuracy", "--triton-backend", "python")
    assert add(numbers, "mlp", "mlp", "rows", *options) == 0
    script = numbers / "models" / "mlp-0" / "1" / "model.py"
    script.write_text(script.read_text() + "\nimport os\n")
    (problem,) = [found.problem for found in verify(numbers / "models") if found.problem is not None]
    assert problem == "model.py is not the file that the cascade was made with"
    assert add(numbers, "mlp", "mlp", "rows", *options) == 0
    (member,) = read_cascade(numbers / "models" / "mlp.cascade.json").members
    assert member.version == 2
    assert [found for found in verify(numbers / "models") if found.problem is not None] == []


def test_the_first_export_after_a_crash_puts_things_right(numbers: Path) -> None:
    mlp(numbers / "mlp.onnx")
    program = (
        "import os, sys; from export import publish; from export.cli import main\n"
        "replace = publish._replace\n"
        "dies = lambda file: file.name.endswith('.npz') and os._exit(9)\n"
        "publish._replace = lambda file, *given: dies(file) or replace(file, *given)\n"
        "main(sys.argv[1:])\n"
    )
    where = ["--repository", str(numbers / "models"), "--name", "mlp", "--samples", str(numbers / "rows.npz")]
    command = [
        sys.executable,
        "-c",
        program,
        "add",
        str(numbers / "mlp.onnx"),
        *where,
        "--objective",
        "accuracy",
    ]
    assert subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode == 9
    assert (numbers / "models" / "mlp-0" / "1").is_dir()
    assert add(numbers, "mlp", "mlp", "rows", "--objective", "accuracy") == 0
    (member,) = read_cascade(numbers / "models" / "mlp.cascade.json").members
    assert member.version == 1


def test_texts_that_hold_numbers_are_read_by_the_model_and_served(tmp_path: Path) -> None:
    """No row can be made up for it: an empty text is no number."""
    weights = {"w": np.eye(3, dtype=np.float32)}
    nodes = [node("Cast", "x", "numbers", to=TensorProto.FLOAT), node("MatMul", "numbers w", "logits")]
    inputs = [value("x", TensorProto.STRING, "n", 3)]
    save(tmp_path / "odd.onnx", nodes, inputs, [value("logits", TensorProto.FLOAT, "n", 3)], weights)
    x = np.random.default_rng(1).integers(0, 9, (80, 3)).astype(str)
    np.savez(tmp_path / "rows.npz", x=x, labels=np.arange(80) % 3)
    assert add(tmp_path, "odd", "odd", "rows", "--objective", "accuracy") == 0
    repository = tmp_path / "models"
    assert [finding for finding in verify(repository) if finding.problem is not None] == []
    sent = np.array([["1", "7", "2"], ["5.5", "-1", "4"]], np.object_)
    with serving(repository) as server, triton_grpc.InferenceServerClient(server.grpc) as client:
        tensor = triton_grpc.InferInput("x", [2, 3], "BYTES").set_data_from_numpy(sent)
        assert client.infer("odd", [tensor]).as_numpy("label").tolist() == [1, 0]
