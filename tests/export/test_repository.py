from hashlib import sha256
from pathlib import Path

import pytest

from cascade.cascade_file import TensorSpec
from export.errors import RepositoryError
from export.repository import Repository
from export.signature import plain_signature
from export.triton.config import config_text
from export.triton.settings import TritonSettings

SIGNATURE = plain_signature((TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, 8, 1)),), 10)


def add_version(folder: Path, version: str, content: bytes) -> None:
    (folder / "m-0" / version).mkdir(parents=True)
    (folder / "m-0" / version / "model.onnx").write_bytes(content)


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def test_a_member_gets_the_next_number_unless_the_newest_has_its_bytes(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    assert repository.place("m-0", digest(b"one")) == (1, True)
    add_version(tmp_path, "2", b"one")
    add_version(tmp_path, "10", b"two")
    (tmp_path / "m-0" / "notes").mkdir()
    assert repository.place("m-0", digest(b"two")) == (10, False)
    assert repository.place("m-0", digest(b"one")) == (11, True)


def test_a_version_without_a_model_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "m-0" / "3").mkdir(parents=True)
    assert Repository(tmp_path).place("m-0", digest(b"one")) == (4, True)


def test_a_missing_folder_can_be_made(tmp_path: Path) -> None:
    Repository(tmp_path / "models").check_can_hold("m", {"m-0": SIGNATURE}, "onnxruntime")
    assert not (tmp_path / "models").exists()


def test_a_known_member_keeps_its_signature(tmp_path: Path) -> None:
    add_version(tmp_path, "1", b"one")
    (tmp_path / "m-0" / "config.pbtxt").write_text(
        config_text("m-0", SIGNATURE, TritonSettings(), backend="onnxruntime")
    )
    Repository(tmp_path).check_can_hold("m", {"m-0": SIGNATURE}, "onnxruntime")
    other = plain_signature(SIGNATURE.inputs, 3)
    with pytest.raises(RepositoryError, match="export under another name"):
        Repository(tmp_path).check_can_hold("m", {"m-0": other}, "onnxruntime")


@pytest.mark.parametrize("taken", ["m/config.pbtxt", "m-1.cascade.json"])
def test_a_cascade_and_a_member_share_no_name(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).write_text("")
    with pytest.raises(RepositoryError, match="may not share a name"):
        Repository(tmp_path).check_can_hold("m", {"m-0": SIGNATURE, "m-1": SIGNATURE}, "onnxruntime")


def test_the_folder_above_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "no" / "models", tmp_path / "file"):
        with pytest.raises(RepositoryError, match="is no folder"):
            Repository(folder).check_can_hold("m", {}, "onnxruntime")


def test_a_mounted_folder_is_refused() -> None:
    """Nothing can be renamed into it from beside it; `/proc` is one that every Linux has."""
    with pytest.raises(RepositoryError, match="a file system of its own"):
        Repository(Path("/proc")).check_can_hold("m", {}, "onnxruntime")
