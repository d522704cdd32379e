"""Where commands read policies from, and where they write them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cascade.cascade_file import SUFFIX, Cascade, read_cascade
from cascade.errors import CascadeError, FormatError
from cascade.policy import Policy
from cascade.policy_file import read_policy_file
from cascade.stages import Stages


def is_cascade(path: Path) -> bool:
    return path.name.endswith(SUFFIX)


def read_policy(path: Path, name: str | None) -> tuple[Stages, Policy]:
    """A policy with its stages, from a file of its own, or by its name (the default's) from a cascade's."""
    if not is_cascade(path):
        if name:
            raise FormatError(f"--name goes with a cascade's file; {path} holds one policy")
        alone = read_policy_file(path)
        return alone.stages, alone.policy
    cascade = read_cascade(path)
    chosen = name or cascade.default_policy
    if chosen not in cascade.policies:
        raise FormatError(f"{path}: no policy {chosen!r}; there are: {', '.join(cascade.policies)}")
    return cascade.stages, cascade.policies[chosen]


def check_free(option: str, path: Path, overwrite: bool) -> None:
    """Whether a file can be written there once all is computed; the option is named where it cannot."""
    if path.is_dir():
        raise FormatError(f"{option} {path} is a folder; it takes a file's name")
    if not path.parent.is_dir():
        raise FormatError(f"{option} {path}: no such folder as {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise FormatError(f"{option} {path}: folder {path.parent} cannot be written to")
    if path.exists() and not overwrite:
        raise FormatError(f"{option} {path} is there; --overwrite replaces it")


def check_name_is_free(path: Path, cascade: Cascade, name: str, overwrite: bool) -> None:
    if name in cascade.policies and not overwrite:
        raise FormatError(f"{path}: policy {name!r} is there; --overwrite replaces it")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What is wrong with the contents of a file, said with the file's name."""
    try:
        yield
    except CascadeError as error:
        raise type(error)(f"{path}: {error}") from None
