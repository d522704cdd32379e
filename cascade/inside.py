"""Paths within a model repository."""

from pathlib import Path

from cascade.errors import FormatError


def inside(repository: Path, relative: str) -> Path:
    """A path below the repository; FormatError where a link on the way leads out of it, or nowhere."""
    path = repository / relative
    try:
        is_inside = path.resolve().is_relative_to(repository.resolve())
    # A link to itself is the one or the other, by the version of Python.
    except (OSError, RuntimeError):
        raise FormatError(f"{path} cannot be followed: its links form a loop") from None
    if not is_inside:
        raise FormatError(f"{path} leads out of the repository")
    return path
