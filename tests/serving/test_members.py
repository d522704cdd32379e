"""What keeps a member from being loaded, before anything of it is run."""

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cascade.cascade_file import Member
from cascade.runtime import ServiceCurve
from serving.accelerators import preload_libraries
from serving.config import SessionConfig
from serving.errors import Fault, MemberFailed, RowsRefused, StartupError
from serving.members import OnnxMember, load_member, warm_up
from tests.repositories import Repository
from tests.triton.models import mixed


def test_a_member_that_its_cascade_pins_is_loaded(repository: Repository) -> None:
    spec = repository.cascade.members[1]
    member = load_member(repository.path, spec, repository.cascade, 32)
    assert member.key == "digits-1/1"
    outputs = member.run({"image": repository.test.image[:3]})
    np.testing.assert_allclose(outputs, repository.scores.outputs[1][:3], rtol=1e-5)


def test_a_plan_is_left_to_triton(repository: Repository, tmp_path: Path) -> None:
    """Whether or not it lies there."""
    spec = replace(repository.cascade.members[0], format="tensorrt")
    with pytest.raises(StartupError, match=r"^member 'digits-0' is a tensorrt file, which only Triton runs$"):
        load_member(tmp_path, spec, repository.cascade, 32)


@pytest.mark.parametrize("link", ["digits-0", "digits-0/1", "digits-0/1/model.onnx"])
def test_a_link_out_of_the_repository_is_not_followed(
    link: str, repository: Repository, tmp_path: Path
) -> None:
    """Even to the very file that the cascade pins."""
    spec = repository.cascade.members[0]
    path = tmp_path / "repository" / link
    path.parent.mkdir(parents=True)
    path.symlink_to(repository.path / link)
    assert hashlib.sha256((tmp_path / "repository" / spec.file).read_bytes()).hexdigest() == spec.sha256
    message = r"^member 'digits-0': .*/digits-0/1/model\.onnx leads out of the repository$"
    with pytest.raises(StartupError, match=message):
        load_member(tmp_path / "repository", spec, repository.cascade, 32)


def test_a_link_within_the_repository_is_followed(repository: Repository, tmp_path: Path) -> None:
    shutil.copytree(repository.path / "digits-0", tmp_path / "store")
    (tmp_path / "digits-0").symlink_to("store")
    spec = repository.cascade.members[0]
    assert load_member(tmp_path, spec, repository.cascade, 32).key == "digits-0/1"


def test_bound_outputs_are_those_of_a_plain_run(repository: Repository) -> None:
    """How it runs on a device; here with the CPU for one."""
    spec = repository.cascade.members[1]
    member = load_member(repository.path, spec, repository.cascade, 32)
    rows = {"image": repository.test.image[:7]}
    plain = member.run(rows)
    member.is_bound = True
    assert np.array_equal(member.run(rows), plain)
    with pytest.raises(MemberFailed, match="member 'digits-1' failed"):
        member.run({"image": np.zeros((2, 3), np.uint8)})


def test_an_accelerator_that_is_not_here_is_said(repository: Repository) -> None:
    if "CUDAExecutionProvider" in _providers_that_load(repository):
        pytest.skip("there is one here")
    spec = repository.cascade.members[0]
    missing = preload_libraries("cuda")
    why = f": {missing}" if missing else ""
    message = f"ONNX Runtime cannot load CUDAExecutionProvider here{re.escape(why)}$"
    with pytest.raises(StartupError, match=message):
        load_member(repository.path, spec, repository.cascade, 32, SessionConfig(accelerator="cuda"))


def test_the_library_that_a_gpu_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> None:
        print("Failed to load libcurand.so.10: libcurand.so.10: cannot open shared object file")
        print("Please follow https://example.org to install CUDA.")

    monkeypatch.setattr(onnxruntime, "preload_dlls", told, raising=False)
    preload_libraries.cache_clear()
    try:
        assert preload_libraries("none") == ""
        assert preload_libraries("tensorrt") == "libcurand.so.10: cannot open shared object file"
    finally:
        preload_libraries.cache_clear()


def test_a_gpu_says_what_a_cpu_says(repository: Repository) -> None:
    if "CUDAExecutionProvider" not in _providers_that_load(repository):
        pytest.skip("there is no GPU here")
    rows = {"image": repository.test.image[:64]}
    spec = repository.cascade.members[0]
    on_cpu, on_gpu = (
        load_member(repository.path, spec, repository.cascade, 64, SessionConfig(accelerator=name))
        for name in ("none", "cuda")
    )
    assert on_gpu.is_bound
    np.testing.assert_allclose(on_gpu.run(rows), on_cpu.run(rows), atol=2e-2)


def _providers_that_load(repository: Repository) -> list[str]:
    file = repository.path / repository.cascade.members[0].file
    wanted = [name for name in onnxruntime.get_available_providers() if name.startswith(("CUDA", "CPU"))]
    found: list[str] = onnxruntime.InferenceSession(file.read_bytes(), providers=wanted).get_providers()
    return found


def test_warming_up_measures_the_curve(repository: Repository) -> None:
    spec = repository.cascade.members[0]
    member = load_member(repository.path, spec, repository.cascade, 32)
    assert member.curve.seconds(1) == pytest.approx(2e-3)
    warm_up(member, repository.cascade)
    assert 0 < member.curve.seconds(1) < 2e-3
    tuned = replace(spec, service_curve=ServiceCurve(0.5, 0.25))
    member = load_member(repository.path, tuned, repository.cascade, 32)
    warm_up(member, repository.cascade)
    assert member.curve.seconds(2) == pytest.approx(1.25)


def test_rows_that_a_member_does_not_take_are_the_clients_fault() -> None:
    """An id beyond the vocabulary. ONNX Runtime's words say which; a NaN, say, would be the member's."""
    inputs = {"ids": "ids", "numbers": "numbers"}
    spec = Member(name="mixed", version=1, sha256="", macs=1.0, inputs=inputs)
    session = onnxruntime.InferenceSession(mixed(), providers=["CPUExecutionProvider"])
    member = OnnxMember(spec, 3, 32, session)
    numbers = np.zeros((2, 4), np.float32)
    assert member.run({"ids": np.array([[1, 9], [2, 3]]), "numbers": numbers}).shape == (2, 3)
    with pytest.raises(RowsRefused, match="idx=50 must be within the inclusive range") as caught:
        member.run({"ids": np.array([[1, 50], [2, 3]]), "numbers": numbers})
    assert caught.value.fault is Fault.INVALID
