"""Saved outputs of members on labelled rows: all that fitting and judging a policy needs.

An `.npz` with `probabilities` float32 (members, N, classes), `labels` int64 (N,), `names` (members,) and
`macs` float64 (members,). Optional: `logits` like probabilities, which win where present; `sha256`
(members,) of the member files; `groups` int64 (N,), rows of one group being copies of one source and so
not independent.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.errors import FormatError
from cascade.scores import OutputKind, softmax

FORMAT_VERSION = 1
REQUIRED = ("labels", "names", "macs")
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class ScoresFile:
    """`outputs` is `(members, N, classes)`, logits or probabilities as `kind` says."""

    outputs: NDArray[np.floating]
    kind: OutputKind
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    macs: tuple[float, ...]
    sha256: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.outputs.ndim != 3:
            raise FormatError(f"{self.kind} must be (members, rows, classes), got shape {self.outputs.shape}")
        members, rows, classes = self.outputs.shape
        if rows == 0 or classes < 2:
            raise FormatError(f"{rows} rows of {classes} classes; at least 1 row and 2 classes are needed")
        for name, length, expected in (
            ("names", len(self.names), members),
            ("macs", len(self.macs), members),
            ("labels", len(self.labels), rows),
        ):
            if length != expected:
                raise FormatError(f"{name} has {length} entries where {self.kind} has {expected}")
        if len(set(self.names)) != members:
            raise FormatError(f"names stand twice: {', '.join(self.names)}")
        if not all(np.isfinite(macs) and macs > 0 for macs in self.macs):
            raise FormatError(f"macs must be positive numbers, got {list(self.macs)}")
        if self.sha256 and len(self.sha256) != members:
            raise FormatError(f"sha256 has {len(self.sha256)} entries where {self.kind} has {members}")
        if self.groups is not None and len(self.groups) != rows:
            raise FormatError(f"groups has {len(self.groups)} entries where labels has {rows}")
        self._check_values(classes)

    def _check_values(self, classes: int) -> None:
        bad = np.flatnonzero(~np.isfinite(self.outputs).all(axis=(0, 2)))
        if len(bad):
            raise FormatError(f"{self.kind} are not finite in {_rows(bad)}")
        out_of_range = np.flatnonzero((self.labels < 0) | (self.labels >= classes))
        if len(out_of_range):
            raise FormatError(f"labels lie outside 0..{classes - 1} in {_rows(out_of_range)}")
        if self.kind == "probabilities":
            sums = self.outputs.sum(axis=2, dtype=np.float64)
            wrong = np.flatnonzero(
                ((np.abs(sums - 1) > SUM_TOLERANCE) | (self.outputs.min(axis=2) < 0)).any(axis=0)
            )
            if len(wrong):
                raise FormatError(f"probabilities are negative or do not sum to 1 in {_rows(wrong)}")

    @property
    def num_rows(self) -> int:
        return len(self.labels)

    def member(self, name: str) -> int:
        if name not in self.names:
            raise FormatError(f"no outputs of member {name!r}; there are those of {', '.join(self.names)}")
        return self.names.index(name)

    def rows(self, index: NDArray[np.intp]) -> "ScoresFile":
        """The same members on some of the rows."""
        return ScoresFile(
            outputs=self.outputs[:, index],
            kind=self.kind,
            labels=self.labels[index],
            names=self.names,
            macs=self.macs,
            sha256=self.sha256,
            groups=None if self.groups is None else self.groups[index],
        )


def _rows(index: NDArray[np.intp]) -> str:
    shown = ", ".join(str(row) for row in index[:5])
    return f"{len(index)} rows ({shown}{', ...' if len(index) > 5 else ''})"


def read_scores(path: Path) -> ScoresFile:
    """Read and check a scores file; FormatError names the file, the array and the rows."""
    arrays = _load(path)
    try:
        return _from_arrays(arrays)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None


def write_scores(path: Path, scores: ScoresFile) -> None:
    """Probabilities stand beside logits, for readers that know no logits."""
    arrays: dict[str, NDArray[Any]] = {
        "format_version": np.array(FORMAT_VERSION),
        "probabilities": scores.outputs.astype(np.float32),
        "labels": scores.labels,
        "names": np.array(scores.names),
        "macs": np.array(scores.macs, np.float64),
    }
    if scores.kind == "logits":
        arrays["logits"] = scores.outputs.astype(np.float32)
        arrays["probabilities"] = softmax(scores.outputs).astype(np.float32)
    if scores.sha256:
        arrays["sha256"] = np.array(scores.sha256)
    if scores.groups is not None:
        arrays["groups"] = scores.groups
    np.savez(path, allow_pickle=False, **arrays)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise FormatError(f"{path}: a single array, not an archive of several")
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path}: not a scores file ({str(error).split('. ')[0]})") from None


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> ScoresFile:
    version = arrays.get("format_version", np.array(FORMAT_VERSION))
    if version.shape != () or version.dtype.kind not in "iu" or int(version) != FORMAT_VERSION:
        raise FormatError(f"format_version {str(version)[:40]} is unknown; this reads {FORMAT_VERSION}")
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise FormatError(f"arrays are missing: {', '.join(missing)}")
    kind: OutputKind = "logits" if "logits" in arrays else "probabilities"
    if kind not in arrays:
        raise FormatError("neither logits nor probabilities are there")
    for name, codes in ((kind, "f"), ("labels", "iu"), ("macs", "fiu"), ("names", "U"), ("groups", "iu")):
        if name in arrays and arrays[name].dtype.kind not in codes:
            raise FormatError(f"{name} has datatype {arrays[name].dtype}, which does not belong there")
        if name in arrays and name != kind and arrays[name].ndim != 1:
            raise FormatError(f"{name} must have one dimension, got shape {arrays[name].shape}")
    groups = arrays.get("groups")
    return ScoresFile(
        outputs=arrays[kind],
        kind=kind,
        labels=arrays["labels"].astype(np.int64),
        names=tuple(arrays["names"].tolist()),
        macs=tuple(arrays["macs"].astype(np.float64).tolist()),
        sha256=tuple(arrays["sha256"].tolist()) if "sha256" in arrays else (),
        groups=None if groups is None else groups.astype(np.int64),
    )
