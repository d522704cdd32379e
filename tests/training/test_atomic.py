import os
import resource

import pytest

from tests.training.tiny import nursery
from training.atomic import replacing


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_the_file_is_there_when_the_block_has_ended(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_changes_nothing(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as file:
        file.write(b"half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_it_is_on_the_disk_before_it_is_in_place(tmp_path, monkeypatch):
    """In this order a machine may die at any moment: content, name, the folder's entry."""
    steps = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        steps.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115, PTH119
        fsync(descriptor)

    def note_replace(source, target, **options):
        steps.append("replace")
        replace(source, target, **options)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    with replacing(tmp_path / "file") as file:
        file.write(b"new")
    assert steps == [f".file.{os.getpid()}", "replace", tmp_path.name]


def write_too_much(path):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with pytest.raises(OSError, match="File too large"), replacing(path) as file:
        # Less than a buffer: it is the last flush that fails.
        file.write(b"x" * 2000)


def test_a_full_disk_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    assert nursery().run(write_too_much, path) == 0
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]
