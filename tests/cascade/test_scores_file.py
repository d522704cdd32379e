"""Scores files: what they hold, and what is refused with the array and the rows named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascade.errors import FormatError
from cascade.scores_file import read_scores

ROWS = 6


def arrays(**changes: Any) -> dict[str, Any]:
    probabilities = np.full((2, ROWS, 4), 0.25, np.float32)
    whole = {
        "probabilities": probabilities,
        "labels": np.arange(ROWS) % 4,
        "names": np.array(["a", "b"]),
        "macs": np.array([1.0, 2.0]),
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def write(path: Path, **changes: Any) -> Path:
    np.savez(path, **arrays(**changes))
    return path


def test_a_file_without_a_version_is_version_1(tmp_path: Path) -> None:
    scores = read_scores(write(tmp_path / "s.npz"))
    assert (scores.kind, scores.names, scores.macs, scores.num_rows) == (
        "probabilities",
        ("a", "b"),
        (1.0, 2.0),
        6,
    )


def test_logits_win_over_probabilities(tmp_path: Path) -> None:
    logits = np.arange(48, dtype=np.float32).reshape(2, ROWS, 4)
    scores = read_scores(write(tmp_path / "s.npz", logits=logits, groups=np.array([0, 0, 1, 1, 2, 2])))
    assert scores.kind == "logits"
    assert np.array_equal(scores.outputs, logits)
    part = scores.rows(np.array([1, 4]))
    assert part.labels.tolist() == [1, 0]
    assert part.groups is not None
    assert part.groups.tolist() == [0, 2]


def spoiled(row: int, value: float) -> np.ndarray:
    probabilities = np.full((2, ROWS, 4), 0.25, np.float32)
    probabilities[1, row, 2] = value
    return probabilities


BAD = [
    ({"labels": None}, "arrays are missing: labels"),
    ({"probabilities": None}, "neither logits nor probabilities"),
    ({"format_version": np.array([1, 1])}, "format_version .* is unknown"),
    ({"format_version": np.array("one")}, "format_version one is unknown"),
    ({"labels": np.zeros((ROWS, 1), int)}, r"labels must have one dimension, got shape \(6, 1\)"),
    ({"names": np.array([["a", "b"]])}, "names must have one dimension"),
    ({"format_version": np.int64(7)}, "format_version 7 is unknown; this reads 1"),
    ({"probabilities": spoiled(3, np.nan)}, r"probabilities are not finite in 1 rows \(3\)"),
    ({"probabilities": spoiled(2, 0.5)}, r"do not sum to 1 in 1 rows \(2\)"),
    ({"probabilities": spoiled(2, -0.25)}, r"negative or do not sum to 1 in 1 rows \(2\)"),
    ({"labels": np.array([0, 1, 2, 3, 4, 9])}, r"labels lie outside 0..3 in 2 rows \(4, 5\)"),
    ({"labels": np.zeros(5, int)}, "labels has 5 entries where probabilities has 6"),
    ({"labels": np.zeros(6)}, "labels has datatype float64"),
    ({"names": np.array(["a", "a"])}, "names stand twice"),
    ({"names": np.array(["a"])}, "names has 1 entries"),
    ({"macs": np.array([1.0, 0.0])}, "macs must be positive"),
    ({"sha256": np.array(["x"])}, "sha256 has 1 entries"),
    ({"groups": np.zeros(2, int)}, "groups has 2 entries"),
    ({"probabilities": np.ones((2, ROWS, 1), np.float32)}, "2 classes are needed"),
    ({"probabilities": np.ones((2, 4), np.float32)}, r"must be \(members, rows, classes\)"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_arrays_are_refused_by_name(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = write(tmp_path / "s.npz", **changes)
    with pytest.raises(FormatError, match=message) as caught:
        read_scores(file)
    assert str(caught.value).startswith(str(file))


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
