"""Paths within a model repository."""

from pathlib import Path

from cascade.errors import FormatError


def inside(repository: Path, relative: str) -> Path:
    """A path below the repository; FormatError where a link on the way leads out of it."""
    path = repository / relative
    if not path.resolve().is_relative_to(repository.resolve()):
        raise FormatError(f"{path} leads out of the repository")
    return path
