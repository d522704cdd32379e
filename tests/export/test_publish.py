import fcntl
import os
from pathlib import Path

import pytest

from export.publish import locked, publish, staging_beside
from tests.export.conftest import contents


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Version 1 of a cascade of one member, and something of somebody else's."""
    folder = tmp_path / "models"
    write(folder, {"m-0/config.pbtxt": "a", "m-0/1/model.onnx": "one", "other-0/1/model.onnx": "theirs"})
    write(folder, {"m.scores.npz": "scores 1", "m.cascade.json": "cascade 1"})
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


SECOND = {
    "m-0/config.pbtxt": "b",
    "m-0/2/model.onnx": "two",
    "m-1/config.pbtxt": "c",
    "m-1/1/model.onnx": "new",
    "m.scores.npz": "scores 2",
    "m.cascade.json": "cascade 2",
}


def publish_files(repository: Path, files: dict[str, str]) -> None:
    with staging_beside(repository) as staging:
        write(staging.new, files)
        publish(staging, repository)


def texts(folder: Path) -> dict[str, str]:
    return {name: content.decode() for name, content in contents(folder).items() if content is not None}


def test_new_files_stand_beside_the_old_versions(repository: Path) -> None:
    publish_files(repository, SECOND)
    kept = {"m-0/1/model.onnx": "one", "other-0/1/model.onnx": "theirs"}
    assert texts(repository) == SECOND | kept
    assert {path.name for path in repository.parent.iterdir()} == {"models", ".models.lock"}


def test_all_that_a_cascade_names_is_on_the_disk_before_it(
    monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    synced: list[tuple[str, str]] = []

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.name, (repository / "m.cascade.json").read_text()))

    monkeypatch.setattr(os, "fsync", note)
    publish_files(repository, SECOND)
    staged = {"new", "m-0", "m-1", "1", "2", "config.pbtxt", "model.onnx", "m.scores.npz", "m.cascade.json"}
    before = {name for name, cascade in synced if cascade == "cascade 1"}
    assert staged | {"models", "journal.jsonl"} <= before
    # The member's own folder once staged and twice for what was moved into it.
    assert [name for name, _ in synced].count("m-0") == 3
    assert next(name for name, cascade in synced if cascade == "cascade 2") == "models"


def is_locked(repository: Path) -> bool:
    with (repository.parent / f".{repository.name}.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_exports_keep_each_other_out_for_as_long_as_they_publish(repository: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(repository):
        assert is_locked(repository)
        assert not (repository / ".models.lock").exists()
        raise KeyboardInterrupt
    assert not is_locked(repository)


def test_a_missing_repository_is_made(tmp_path: Path) -> None:
    publish_files(tmp_path / "models", SECOND)
    assert texts(tmp_path / "models") == SECOND


def test_a_configuration_that_did_not_change_is_left_alone(repository: Path) -> None:
    before = (repository / "m-0" / "config.pbtxt").stat()
    publish_files(repository, {"m-0/config.pbtxt": "a"})
    assert (repository / "m-0" / "config.pbtxt").stat() == before


@pytest.mark.parametrize("taken", ["m-0/2/model.onnx", "m-1/1/model.onnx", "m.cascade.json/x"])
def test_a_failure_on_the_way_puts_everything_back(repository: Path, taken: str) -> None:
    """Somebody else's file comes in the way of one step after others were done."""
    (repository / "m.scores.npz").unlink()
    (repository / "m.cascade.json").unlink()
    write(repository, {taken: "in the way"})
    before = contents(repository)
    files = SECOND | {"a-0/1/model.onnx": "first of all", "a-0/config.pbtxt": "a"}
    with pytest.raises(OSError, match="m"):
        publish_files(repository, files)
    assert contents(repository) == before
    assert {path.name for path in repository.parent.iterdir()} == {"models", ".models.lock"}


def test_a_failure_leaves_no_repository_where_there_was_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError(f"no space for {target.name}")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match=r"no space for m\.scores\.npz"):
        publish_files(tmp_path / "models", SECOND)
    assert [path.name for path in tmp_path.iterdir()] == [".models.lock"]


def test_the_staging_folder_is_beside_the_repository_and_goes(repository: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staging_beside(repository) as staging:
        assert staging.folder.parent == repository.parent
        raise KeyboardInterrupt
    assert {path.name for path in repository.parent.iterdir()} == {"models", ".models.lock"}
