"""Labels: whether they are classes, and a file of other ones to train on, such as CIFAR-10N's."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from training.errors import DatasetError


def read_labels(path: Path, key: str | None, *, num_rows: int, num_classes: int) -> NDArray[np.int64]:
    """int64 (num_rows,), all below `num_classes`: the array `key` of an .npz, or an .npy where it is None.

    Raises DatasetError, with the file's name, where it doesn't hold just that.
    """
    labels = _load(path, key)
    if labels.shape != (num_rows,):
        raise DatasetError(f"{path} must hold one label for each of {num_rows} images, got {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(f"{path} must hold integer labels, got {labels.dtype}")
    check_labels(labels, num_classes, str(path))
    return labels.astype(np.int64)


def check_labels(labels: NDArray[np.integer[Any]], num_classes: int, where: str) -> None:
    """DatasetError unless all of integers (N,) are in 0 to C-1."""
    is_bad = (labels < 0) | (labels >= num_classes)
    if is_bad.any():
        first = int(is_bad.argmax())
        raise DatasetError(
            f"{where} has label {labels[first]} at position {first}: labels must be 0 to {num_classes - 1}"
        )


def _load(path: Path, key: str | None) -> NDArray[Any]:
    # NumPy itself would leave a broken archive open.
    with _translated(path), path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, NpzFile):
            with loaded:
                return _pick(loaded, key, path)
    if key is not None:
        raise DatasetError(f"{path} holds one array without a name: leave out --train-labels-key {key}")
    return np.asarray(loaded)


def _pick(arrays: NpzFile, key: str | None, path: Path) -> NDArray[Any]:
    names = ", ".join(arrays.files) or "none"
    if key is None:
        raise DatasetError(f"{path} holds arrays by name, choose one with --train-labels-key: {names}")
    if key not in arrays.files:
        raise DatasetError(f"{path} holds no array {key!r}: there is {names}")
    return np.asarray(arrays[key])


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file of labels {path}") from error
    except OSError as error:
        raise DatasetError(f"{path} can't be read as labels: {error}") from error
    except (ValueError, EOFError, BadZipFile, zlib.error) as error:
        # NumPy takes whatever it doesn't know for a pickle, and advises to trust it.
        raise DatasetError(
            f"{path} can't be read as labels: it is no whole .npy or .npz of numbers"
        ) from error
