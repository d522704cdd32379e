"""The fixture itself, and what Triton says of models that it cannot load."""

import socket
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from serving.triton import bundled
from serving.triton.bundled import QUICK, TritonDidNotStart, TritonServer, triton
from tests.triton.models import SCRIPT, write_model
from tests.triton.processes import group, shared_memory

EXPLICIT = "--model-control-mode=explicit"
ON_GPU = """

class TritonPythonModel(TritonPythonModel):
    def initialize(self, args):
        super().initialize(args | {"model_instance_kind": "GPU"})
"""


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def broken(
    installed: None, models: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    """Models that are all wrong, each in its own way, and none loaded."""
    folder = tmp_path_factory.mktemp("broken")
    repository = folder / "repository"
    for name in ("no-such-output", "no-number", "no-graph", "no-gpu", "new-numpy"):
        write_model(repository, name, models["image"])
    edit(repository / "no-such-output" / "config.pbtxt", '"logits"', '"scores"')
    with (repository / "no-number" / "config.pbtxt").open("a", encoding="utf-8") as file:
        file.write('parameters { key: "intra_op_num_threads" value { string_value: "many" } }')
    (repository / "no-graph" / "1" / "model.onnx").unlink()
    # Triton itself refuses a GPU that it lacks, before it asks the script.
    (repository / "no-gpu" / "1" / "model.py").write_text(SCRIPT.read_text(encoding="utf-8") + ON_GPU)
    # The packages of the tests hold NumPy 2.
    newer = f"import sys\nsys.path.insert(0, {sysconfig.get_path('purelib')!r})\n"
    (repository / "new-numpy" / "1" / "model.py").write_text(newer + SCRIPT.read_text(encoding="utf-8"))
    with triton(repository, EXPLICIT, QUICK, log=folder / "triton.log") as running:
        yield running


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("no-such-output", "model.onnx has no output ['scores'], only ['logits']"),
        ("no-number", "invalid literal for int() with base 10: 'many'"),
        ("no-graph", "model.onnx failed"),
        ("no-gpu", "a GPU was asked for, and ONNX Runtime cannot use it"),
        ("new-numpy", "this Triton misreads the tensors of NumPy 2"),
    ],
)
def test_a_wrong_model_is_refused_with_the_reason(model: str, reason: str, broken: TritonServer) -> None:
    with triton_grpc.InferenceServerClient(broken.grpc) as client:
        with pytest.raises(InferenceServerException) as refusal:
            client.load_model(model)
        assert reason in str(refusal.value)
        assert not client.is_model_ready(model)


def test_a_server_that_cannot_start_shows_the_end_of_its_log(installed: None, tmp_path: Path) -> None:
    with (
        pytest.raises(TritonDidNotStart, match="failed to stat file"),
        triton(tmp_path / "nowhere", log=tmp_path / "triton.log"),
    ):
        pass


def test_nothing_outlives_the_block_even_where_the_first_port_was_taken(
    installed: None, models: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "models", "image", models["image"])
    free_ports = bundled._free_ports
    offers: list[list[int]] = []
    before = shared_memory()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        def offer(number: int) -> list[int]:
            offers.append([taken.getsockname()[1], *free_ports(1)] if not offers else free_ports(number))
            return offers[-1]

        monkeypatch.setattr(bundled, "_free_ports", offer)
        with triton(tmp_path / "models", QUICK, log=tmp_path / "triton.log") as server:
            assert [server.http_port, server.grpc_port] == offers[1]
            assert shared_memory() > before
            assert len(group(server.process.pid)) > 1
    assert shared_memory() == before
    assert not group(server.process.pid)
