"""Named arrays in an `.npz` or in a folder of `.npy` files. Nothing in them is ever unpickled."""

import os
import secrets
import shutil
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.errors import FormatError

AnyArray = NDArray[Any]

ARCHIVE_SUFFIX = ".npz"
UNREADABLE = (
    *(OSError, ValueError, EOFError, AttributeError, KeyError, TypeError, SyntaxError, RuntimeError),
    *(MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What NumPy and zipfile raise, between them, on broken files."""


@contextmanager
def opened_arrays(path: Path, mapped: Collection[str]) -> Iterator[Mapping[str, AnyArray]]:
    """The arrays by name, each read when it is asked for; in a folder, those in `mapped` stay on disk.

    FormatError names the file where there is none or it is no archive.
    """
    if path.is_dir():
        yield _Folder(path, mapped)
        return
    with ExitStack() as stack:
        yield _opened_archive(path, stack)


def _opened_archive(path: Path, stack: ExitStack) -> Mapping[str, AnyArray]:
    """The file is opened here, since NumPy leaves its own handle open where a file is broken."""
    try:
        file = stack.enter_context(path.open("rb"))
        archive = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except UNREADABLE as error:
        raise FormatError(f"{path}: not a scores file ({_first_sentence(error)})") from None
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise FormatError(f"{path}: a single array, not an archive of several")
    return stack.enter_context(archive)


def taken(arrays: Mapping[str, AnyArray], name: str) -> AnyArray:
    """One of the arrays, or a FormatError that names it where it is broken."""
    try:
        array = arrays[name]
    except UNREADABLE as error:
        raise FormatError(f"not a scores file ({name}: {_first_sentence(error)})") from None
    if not isinstance(array, np.ndarray):  # an archive gives the bytes of what is no array
        raise FormatError(f"not a scores file ({name}: not an array)")
    return array


def _first_sentence(error: BaseException) -> str:
    return str(error).split(". ")[0] or type(error).__name__


class _Folder(Mapping[str, AnyArray]):
    def __init__(self, path: Path, mapped: Collection[str]) -> None:
        self._files = {file.stem: file for file in sorted(path.glob("*.npy"))}
        self._mapped = mapped

    def __getitem__(self, name: str) -> AnyArray:
        file = self._files[name]
        if name in self._mapped:
            return np.asarray(np.lib.format.open_memmap(file, mode="r"))
        with file.open("rb") as opened:
            array: AnyArray = np.lib.format.read_array(opened, allow_pickle=False)
        return array

    def __contains__(self, name: object) -> bool:
        """The inherited one would read the array to find out."""
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def save_arrays(path: Path, arrays: Mapping[str, AnyArray]) -> None:
    """An archive, or a folder where `path` has no `.npz` suffix; written aside, then renamed.

    FormatError where something is at `path` already, or its parent is no folder.
    """
    if os.path.lexists(path):
        raise FormatError(f"{path} is there, and it is not replaced")
    if not path.parent.is_dir():
        raise FormatError(f"{path}: no such folder")
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        if path.suffix == ARCHIVE_SUFFIX:
            _save_archive(aside, arrays)
        else:
            _save_folder(aside, arrays)
        aside.rename(path)
    except BaseException:
        _remove(aside)
        raise


def _save_archive(path: Path, arrays: Mapping[str, AnyArray]) -> None:
    with path.open("xb") as file:
        np.savez(file, allow_pickle=False, **dict[str, Any](arrays))
        file.flush()
        os.fsync(file.fileno())


def _save_folder(path: Path, arrays: Mapping[str, AnyArray]) -> None:
    path.mkdir()
    for name, array in arrays.items():
        with (path / f"{name}.npy").open("xb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
