from pathlib import Path

import pytest

from cascade.errors import FormatError
from cascade.inside import inside


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Beside a folder of somebody else, and one whose name begins like its own."""
    for name in ("models/m-0/1", "others", "models-of-before"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "models"


def test_paths_below_are_given_as_they_are_asked_for(repository: Path) -> None:
    assert inside(repository, "m-0/1/model.onnx") == repository / "m-0" / "1" / "model.onnx"
    assert inside(repository, "not/there") == repository / "not" / "there"


def test_links_within_are_followed(repository: Path) -> None:
    (repository / "again").symlink_to("m-0")
    assert inside(repository, "again/1/model.onnx") == repository / "again" / "1" / "model.onnx"


def test_a_repository_may_itself_be_reached_by_a_link(repository: Path) -> None:
    link = repository.parent / "link"
    link.symlink_to(repository)
    assert inside(link, "m-0") == link / "m-0"


@pytest.mark.parametrize("target", ["../others", "../models-of-before", "/"])
def test_a_link_out_of_it_is_refused(target: str, repository: Path) -> None:
    (repository / "out").symlink_to(target)
    with pytest.raises(FormatError, match=r"models/out/1/model\.onnx leads out of the repository$"):
        inside(repository, "out/1/model.onnx")


def test_a_file_that_is_a_link_out_is_refused(repository: Path) -> None:
    (repository.parent / "others" / "model.onnx").write_bytes(b"secret")
    (repository / "m-0" / "1" / "model.onnx").symlink_to("../../../others/model.onnx")
    with pytest.raises(FormatError, match=r"model\.onnx leads out of the repository$"):
        inside(repository, "m-0/1/model.onnx")


@pytest.mark.parametrize("relative", ["../others", "m-0/../../others", "/etc/passwd"])
def test_paths_that_climb_are_refused(relative: str, repository: Path) -> None:
    with pytest.raises(FormatError, match=r"leads out of the repository$"):
        inside(repository, relative)
