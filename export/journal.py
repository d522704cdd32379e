"""What a publication is about to change, written down before it does, so that it can be put back.

One JSON line a step, on the disk before the step is taken: `made` names what was not there, `kept` a file
that was, and its copy. Steps are undone from the last to the first; to undo one that was never taken, or one
twice, does no harm.
"""

import json
import os
import shutil
from pathlib import Path

JOURNAL = "journal.jsonl"


class Journal:
    """Of one publication, kept in its staging folder. Paths are relative to the repository's parent."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self._folder = folder
        self._repository = repository
        self._num_kept = 0

    def will_make(self, target: Path) -> None:
        self._write({"made": self._relative(target)})

    def will_replace(self, target: Path, keep: Path) -> None:
        copy = keep / str(self._num_kept)
        self._num_kept += 1
        shutil.copy2(target, copy)
        sync(copy)
        sync(keep)
        self._write({"kept": self._relative(target), "copy": str(copy.relative_to(self._folder))})

    def _relative(self, target: Path) -> str:
        return str(target.relative_to(self._repository))

    def _write(self, step: dict[str, str]) -> None:
        path = self._folder / JOURNAL
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(step) + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync(self._folder)


def roll_back(folder: Path, repository: Path) -> None:
    """Undo all that the journal in `folder` tells of."""
    path = folder / JOURNAL
    if not path.exists():
        return
    # A last line that was being written tells of a step that was not taken.
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    for line in reversed(lines):
        _undo(json.loads(line), folder, repository)


def _undo(step: dict[str, str], folder: Path, repository: Path) -> None:
    if "made" in step:
        _remove(repository / step["made"])
    else:
        # By way of a copy: the kept one stays until all is undone.
        again = folder / "again"
        shutil.copy2(folder / step["copy"], again)
        sync(again)
        again.replace(repository / step["kept"])
    if repository.exists():
        sync(repository)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """A file's content, or a folder's entries, reach the disk before whatever is done next."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
