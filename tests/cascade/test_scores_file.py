"""Scores files: what they hold, and what is refused with the array and the rows named."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascade.errors import FormatError
from cascade.scores_file import ScoresFile, read_scores, write_scores

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


def write_folder(path: Path, **changes: Any) -> Path:
    path.mkdir()
    for name, array in arrays(**changes).items():
        np.save(path / f"{name}.npy", array)
    return path


def logits(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (2, rows, 4)).astype(np.float32)


def rich() -> ScoresFile:
    """Every field filled."""
    return ScoresFile(
        outputs=logits(ROWS, 1),
        kind="logits",
        labels=np.arange(ROWS) % 4,
        names=("a", "b"),
        macs=(1.0, 2.0),
        sha256=("00", "11"),
        groups=np.array([0, 0, 1, 1, 2, 2]),
        ood_outputs=logits(5, 2),
        ood_families=("noise", "svhn", "noise", "dtd", "svhn"),
        seconds=(0.001, 0.25),
    )


def assert_same(one: ScoresFile, other: ScoresFile) -> None:
    for field in fields(ScoresFile):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), field.name)


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


def below_zero() -> np.ndarray:
    """A row that sums to 1 all the same."""
    probabilities = np.full((2, ROWS, 4), 0.25, np.float32)
    probabilities[0, 5] = [-0.25, 0.75, 0.25, 0.25]
    return probabilities


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
    ({"probabilities": below_zero()}, r"negative or do not sum to 1 in 1 rows \(5\)"),
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
    ({"probabilities": np.ones((0, ROWS, 4), np.float32)}, "probabilities are of no member"),
    ({"probabilities": np.ones((2, 0, 4), np.float32)}, "probabilities hold 0 rows of 4 classes"),
    ({"probabilities": np.ones((2, ROWS, 4), int)}, "probabilities has datatype int64"),
    ({"probabilities": spoiled(3, np.inf)}, r"probabilities are not finite in 1 rows \(3\)"),
    ({"probabilities": spoiled(0, 0.2525)}, r"do not sum to 1 in 1 rows \(0\)"),
    ({"logits": np.full((2, ROWS, 4), np.nan)}, r"logits are not finite in 6 rows \(0, 1, 2, 3, 4, \.\.\.\)"),
    ({"labels": np.array([0, 1, -1, 3, 0, 1])}, r"labels lie outside 0..3 in 1 rows \(2\)"),
    ({"names": np.array([b"a", b"b"])}, r"names has datatype \|S1"),
    ({"sha256": np.array([1, 2])}, "sha256 has datatype int64"),
    ({"sha256": np.array("xy")}, r"sha256 must have one dimension, got shape \(\)"),
    ({"macs": np.array([1.0, np.nan])}, r"macs must be positive numbers, got \[1.0, nan\]"),
    ({"macs": np.array([1.0, np.inf])}, "macs must be positive"),
    ({"macs": np.array(["1", "2"])}, "macs has datatype <U1"),
    ({"seconds": np.array([1.0])}, "seconds has 1 entries where probabilities has 2"),
    ({"seconds": np.array([1.0, -1.0])}, r"seconds must be positive numbers, got \[1.0, -1.0\]"),
    ({"seconds": np.array([1.0, np.nan])}, "seconds must be positive"),
    ({"groups": np.zeros(ROWS)}, "groups has datatype float64"),
    (
        {"ood_probabilities": np.full((2, 3, 5), 0.2)},
        r"ood_probabilities has shape \(2, 3, 5\), and probabilities is of 2 members and 4 classes",
    ),
    ({"ood_probabilities": np.full((1, 3, 4), 0.25)}, r"ood_probabilities has shape \(1, 3, 4\)"),
    ({"ood_probabilities": np.full((2, 0, 4), 0.25)}, "ood_probabilities hold 0 rows"),
    ({"ood_probabilities": spoiled(4, np.nan)}, r"^[^:]*: ood_probabilities are not finite in 1 rows \(4\)"),
    ({"ood_probabilities": spoiled(1, 0.5)}, r"ood_probabilities are negative or .* in 1 rows \(1\)"),
    ({"ood_logits": logits(3, 0)}, "ood_probabilities is missing: ood_logits cannot be judged beside prob"),
    (
        {"logits": logits(ROWS, 0), "ood_probabilities": np.full((2, 3, 4), 0.25)},
        "ood_logits is missing: ood_probabilities cannot be judged beside logits",
    ),
    ({"ood_families": np.array(["x"])}, "ood_families stand without ood_probabilities"),
    (
        {"ood_probabilities": np.full((2, 3, 4), 0.25), "ood_families": np.array(["x"])},
        "ood_families has 1 entries where ood_probabilities has 3",
    ),
]


@pytest.mark.parametrize("make", [write, write_folder])
@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_arrays_are_refused_by_name(
    changes: dict[str, Any], message: str, make: Callable[..., Path], tmp_path: Path
) -> None:
    file = make(tmp_path / "s.npz", **changes)
    with pytest.raises(FormatError, match=message) as caught:
        read_scores(file)
    assert str(caught.value).startswith(str(file))


def test_rows_far_apart_are_named_by_their_own_numbers() -> None:
    """More rows than a chunk holds."""
    rows = 5000
    probabilities = np.full((2, rows, 300), 1 / 300, np.float32)
    labels = np.zeros(rows, int)
    probabilities[0, 4321, 7] = 1.0
    probabilities[1, [17, 4999], 0] = 1.0
    given = {"kind": "probabilities", "labels": labels, "names": ("a", "b"), "macs": (1.0, 1.0)}
    with pytest.raises(FormatError, match=r"sum to 1 in 3 rows \(17, 4321, 4999\)"):
        ScoresFile(outputs=probabilities, **given)
    probabilities[1, 2345, 0] = np.nan
    with pytest.raises(FormatError, match=r"not finite in 1 rows \(2345\)"):
        ScoresFile(outputs=probabilities, **given)


def test_an_archive_of_nothing_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz")
    (tmp_path / "folder").mkdir()
    for name in ("s.npz", "folder"):
        with pytest.raises(FormatError, match=f"{name}: arrays are missing: labels, names, macs"):
            read_scores(tmp_path / name)


@pytest.mark.parametrize("name", ["s.npz", "scores", "digits.scores"])
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    write_scores(tmp_path / name, rich())
    assert (tmp_path / name).is_dir() == (name != "s.npz")
    assert_same(read_scores(tmp_path / name), rich())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_probabilities_are_written_beside_logits(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.npz", rich())
    with np.load(tmp_path / "s.npz") as archive:
        for name, given in (("probabilities", logits(ROWS, 1)), ("ood_probabilities", logits(5, 2))):
            powers = np.exp(given.astype(np.float64))
            np.testing.assert_allclose(archive[name], powers / powers.sum(axis=2, keepdims=True), rtol=1e-6)
            assert archive[name].dtype == np.float32


def test_probabilities_alone_are_written_alone(tmp_path: Path) -> None:
    scores = read_scores(write(tmp_path / "s.npz", ood_probabilities=np.full((2, 3, 4), 0.25)))
    write_scores(tmp_path / "again.npz", scores)
    assert read_scores(tmp_path / "again.npz").kind == "probabilities"
    with np.load(tmp_path / "again.npz") as archive:
        assert not {"logits", "ood_logits", "sha256", "seconds", "groups"} & set(archive.files)
        assert archive["ood_families"].tolist() == ["ood", "ood", "ood"]


def test_rows_without_families_are_of_one() -> None:
    scores = replace(rich(), ood_families=())
    assert (scores.num_ood, scores.families) == (5, ("ood",))
    assert scores.ood_families == ("ood",) * 5
    without = replace(rich(), ood_outputs=None, ood_families=())
    assert (without.num_ood, without.families) == (0, ())


def test_some_rows_keep_all_that_is_not_of_rows() -> None:
    scores = rich()
    part = scores.rows(np.array([4, 1]))
    expected = replace(
        scores, outputs=scores.outputs[:, [4, 1]], labels=np.array([0, 1]), groups=np.array([2, 0])
    )
    assert_same(part, expected)


def test_families_of_ood_rows_are_chosen_by_name() -> None:
    scores = rich()
    assert scores.families == ("noise", "svhn", "dtd")
    part = scores.ood_of({"svhn", "dtd"})
    assert part.ood_families == ("svhn", "dtd", "svhn")
    assert_same(
        part, replace(scores, ood_outputs=logits(5, 2)[:, [1, 3, 4]], ood_families=("svhn", "dtd", "svhn"))
    )
    assert_same(scores.ood_of(()), replace(scores, ood_outputs=None, ood_families=()))


def test_unknown_families_are_named() -> None:
    with pytest.raises(FormatError, match="of family 'cats', 'dogs'; there are: noise, svhn, dtd"):
        rich().ood_of(["dogs", "svhn", "cats"])
    with pytest.raises(FormatError, match="of family 'dogs'; there are: none"):
        rich().ood_of(()).ood_of(["dogs"])


def test_subsets_of_checked_rows_are_not_checked_again() -> None:
    """The values are spoilt behind the file's back: a subset keeps silent, a file made anew does not."""
    scores = rich()
    scores.outputs[0, 2, 1] = np.nan
    assert np.isnan(scores.rows(np.array([2])).outputs).any()
    assert np.isnan(scores.ood_of(["dtd"]).outputs).any()
    with pytest.raises(FormatError, match=r"logits are not finite in 1 rows \(2\)"):
        replace(scores, names=("x", "y"))


def test_probabilities_beside_logits_are_not_even_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "scores", logits=logits(ROWS, 1))
    (folder / "probabilities.npy").write_bytes(b"broken")
    assert read_scores(folder).kind == "logits"
