"""What a publication is about to change, written down before it does, so that it can be put back.

One JSON line a step, on the disk before the step is taken: `made` names what was not there, `kept` a file
that was, its copy, and the digest of what is to replace it. Steps are undone from the last to the first; to
undo one that was never taken, or one twice, does no harm, and what somebody has changed since is left alone.
Undoing needs no room on the disk. The journal goes when all is done or undone; until then its folder stays.
"""

import json
import os
import shutil
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

JOURNAL = "journal.jsonl"


class Journal:
    """Of one publication, kept in its staging folder. Paths in it are relative to the repository."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self._folder = folder
        self._repository = repository
        self._num_kept = 0

    def will_make(self, target: Path) -> None:
        self._write({"made": self._relative(target)})

    def will_replace(self, target: Path, new: Path, keep: Path) -> None:
        """`new` is to take the place of `target`, which is kept in the folder `keep`."""
        copy = keep / str(self._num_kept)
        self._num_kept += 1
        os.link(target, copy, follow_symlinks=False)
        sync(keep)
        step = {"kept": self._relative(target), "copy": str(copy.relative_to(self._folder))}
        self._write(step | {"new": file_digest(new)})

    def close(self) -> None:
        """All was done."""
        (self._folder / JOURNAL).unlink(missing_ok=True)
        sync(self._folder)

    def _relative(self, target: Path) -> str:
        return str(target.relative_to(self._repository))

    def _write(self, step: dict[str, str]) -> None:
        path = self._folder / JOURNAL
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(step) + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync(self._folder)


def has_journal(folder: Path) -> bool:
    """Whether something was begun there that is neither done nor undone."""
    return (folder / JOURNAL).exists()


def roll_back(folder: Path, repository: Path) -> None:
    """Undo all that the journal in `folder` tells of, and remove it."""
    if not has_journal(folder):
        return
    # A last line that was being written tells of a step that was not taken.
    lines = (folder / JOURNAL).read_text(encoding="utf-8").split("\n")[:-1]
    for line in reversed(lines):
        _undo(json.loads(line), folder, repository)
    Journal(folder, repository).close()


def _undo(step: dict[str, str], folder: Path, repository: Path) -> None:
    if "made" in step:
        _remove(repository, step["made"])
    else:
        target, copy = repository / step["kept"], folder / step["copy"]
        if copy.exists() and target.is_file() and file_digest(target) == step["new"]:
            copy.replace(target)
            sync(target.parent)
    if repository.exists():
        sync(repository)


def _remove(repository: Path, made: str) -> None:
    path = repository / made
    if path == repository:
        # Somebody else may have put something there.
        with suppress(OSError):
            path.rmdir()
    elif path.is_dir() and not path.is_symlink():
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


def file_digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
