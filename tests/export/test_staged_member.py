"""What must never be published: a file that computes something else, or a member that cannot be rebuilt."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn

from export import torch_member
from export.graph import export_graph
from export.signature import MemberSignature
from tests.export.conftest import change_json, contents, error_line


def with_bias(model: nn.Module, signature: MemberSignature) -> bytes:
    """As the exporter writes it, but for a tenth on one logit."""
    graph = onnx.load_from_string(export_graph(model, signature))
    gemm = next(node for node in graph.graph.node if "logits" in node.output)
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == gemm.input[2])
    bias = numpy_helper.to_array(tensor).copy()
    bias[3] += 0.1
    tensor.CopyFrom(numpy_helper.from_array(bias, tensor.name))
    return graph.SerializeToString()


def test_a_file_with_a_bias_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    repository: Path,
    run_export: Callable[..., int],
    run_folder: Path,
) -> None:
    monkeypatch.setattr(torch_member, "export_graph", with_bias)
    before = contents(repository.parent)
    assert run_export(run_folder) == 1
    line = error_line(capsys.readouterr().err)
    assert line.startswith("digits-0: the exported file does not compute what the model does (max 1.0e-01, ")
    assert line.endswith("the maximum allowed is 0.001 (--max-difference)")
    assert contents(repository.parent) == before


def test_the_tolerance_is_the_callers(
    capsys: pytest.CaptureFixture[str], repository: Path, run_export: Callable[..., int], run_folder: Path
) -> None:
    """Float32 sums in another order never agree to the last bit of all rows."""
    before = contents(repository.parent)
    assert run_export(run_folder, "--max-difference", "0") == 1
    assert "the maximum allowed is 0" in error_line(capsys.readouterr().err)
    assert contents(repository.parent) == before


def test_a_member_without_numbers_is_refused(
    capsys: pytest.CaptureFixture[str], run_export: Callable[..., int], own_run: Path
) -> None:
    weights = own_run / "member-0" / "model.safetensors"
    save_file({name: spoil(tensor) for name, tensor in load_file(weights).items()}, weights)
    assert run_export(own_run) == 1
    assert "digits-0: the model itself gives values that are no finite numbers (row 0)" in error_line(
        capsys.readouterr().err
    )


def spoil(tensor: torch.Tensor) -> torch.Tensor:
    return tensor * torch.nan if tensor.is_floating_point() else tensor


@pytest.mark.parametrize("broken", ["weights", "name"])
def test_a_member_that_cannot_be_rebuilt_is_named(
    capsys: pytest.CaptureFixture[str],
    repository: Path,
    run_export: Callable[..., int],
    own_run: Path,
    broken: str,
) -> None:
    before = contents(repository.parent / "models")
    member = own_run / "member-1"
    if broken == "weights":
        (member / "model.safetensors").write_bytes(b"no weights")
    else:
        model = {"name": "resnet9000", "height": 8, "width": 8, "channels": 1, "num_classes": 10}
        change_json(member / "member.json", model=model | {"mean": [0.0], "std": [1.0]})
    assert run_export(own_run) == 2
    assert error_line(capsys.readouterr().err).startswith("digits-1: cannot be rebuilt: ")
    assert contents(repository.parent / "models") == before
