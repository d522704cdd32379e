"""Archives and folders of arrays: what is broken is refused by name, and nothing is left half written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascade.errors import FormatError
from cascade.scores_file import read_scores, write_scores
from tests.cascade.test_scores_file import ROWS, arrays, assert_same, rich, write, write_folder


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"text"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "s.npz"
    file.write_bytes(content)
    with pytest.raises(FormatError, match=r"s\.npz: not a scores file"):
        read_scores(file)


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.npy"
    np.save(file, np.zeros(3))
    with pytest.raises(FormatError, match="a single array, not an archive of several"):
        read_scores(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        read_scores(tmp_path / "s.npz")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    file = tmp_path / "s.npz"
    np.savez(file, **arrays(names=np.array(["a", None], dtype=object)))
    with pytest.raises(FormatError, match="not a scores file"):
        read_scores(file)


def test_broken_archives_are_refused_whatever_byte_is_wrong(tmp_path: Path) -> None:
    """Whatever NumPy and zipfile raise becomes a FormatError; some bytes do no harm."""
    file = write(tmp_path / "s.npz")
    whole, refused = bytearray(file.read_bytes()), 0
    for position in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[position] ^= 0xA5
        file.write_bytes(broken)
        try:
            read_scores(file)
        except FormatError as error:
            assert str(error).startswith(str(file))
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00\x04\x00{}((", b"PK\x03\x04broken"])
@pytest.mark.parametrize("name", ["labels", "probabilities"])
def test_a_broken_file_of_a_folder_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "scores")
    (folder / f"{name}.npy").write_bytes(content)
    with pytest.raises(FormatError, match=rf"scores: not a scores file \({name}: "):
        read_scores(folder)


def test_a_folder_cut_short_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "scores")
    whole = (folder / "probabilities.npy").read_bytes()
    (folder / "probabilities.npy").write_bytes(whole[:-4])
    with pytest.raises(FormatError, match=r"not a scores file \(probabilities: mmap length"):
        read_scores(folder)


def test_a_folder_is_an_archive_and_stays_on_disk(tmp_path: Path) -> None:
    folder = read_scores(write_folder(tmp_path / "scores", groups=np.arange(ROWS)))
    assert_same(folder, read_scores(write(tmp_path / "s.npz", groups=np.arange(ROWS))))
    assert type(folder.outputs) is np.ndarray
    assert isinstance(folder.outputs.base, np.memmap)
    assert not folder.outputs.flags.writeable


def test_objects_of_a_folder_are_never_unpickled(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "scores", names=np.array(["a", None], dtype=object))
    with pytest.raises(FormatError, match="not a scores file \\(names: Object arrays"):
        read_scores(folder)


@pytest.mark.parametrize("name", ["s.npz", "scores"])
def test_nothing_is_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(FormatError, match=f"{name} is there, and it is not replaced"):
        write_scores(tmp_path / name, rich())
    with pytest.raises(FormatError, match=r"x: no such folder"):
        write_scores(tmp_path / "gone" / "x", rich())
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize("name", ["s.npz", "scores"])
def test_a_failed_write_leaves_nothing(name: str, tmp_path: Path) -> None:
    objects = replace(rich(), names=("a", "b"), groups=np.arange(ROWS))
    object.__setattr__(objects, "groups", np.array([None] * ROWS))
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_scores(tmp_path / name, objects)
    assert list(tmp_path.iterdir()) == []
