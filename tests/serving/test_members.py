"""What keeps a member from being loaded, before anything of it is run."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving.errors import StartupError
from serving.members import load_member
from tests.repositories import Repository


def test_a_member_that_its_cascade_pins_is_loaded(repository: Repository) -> None:
    spec = repository.cascade.members[1]
    member = load_member(repository.path, spec, repository.cascade)
    assert member.key == "digits-1/1"
    outputs = member.run({"image": repository.test.image[:3]})
    np.testing.assert_allclose(outputs, repository.scores.outputs[1][:3], rtol=1e-5)


def test_a_plan_is_left_to_triton(repository: Repository, tmp_path: Path) -> None:
    """Whether or not it lies there."""
    spec = replace(repository.cascade.members[0], format="tensorrt")
    with pytest.raises(StartupError, match=r"^member 'digits-0' is a tensorrt file, which only Triton runs$"):
        load_member(tmp_path, spec, repository.cascade)


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
        load_member(tmp_path / "repository", spec, repository.cascade)


def test_a_link_within_the_repository_is_followed(repository: Repository, tmp_path: Path) -> None:
    shutil.copytree(repository.path / "digits-0", tmp_path / "store")
    (tmp_path / "digits-0").symlink_to("store")
    spec = repository.cascade.members[0]
    assert load_member(tmp_path, spec, repository.cascade).key == "digits-0/1"
