"""Saved outputs of members on labelled rows: all that fitting and judging a policy needs.

An `.npz`, or a folder of `.npy` files whose outputs are memory-mapped, with `probabilities` float32
(members, N, classes), `labels` int64 (N,), `names` (members,) and `macs` float64 (members,). Optional:
`logits` like probabilities, which win where present; `sha256` (members,) of the member files; `seconds`
(members,) measured per row; `groups` int64 (N,), rows of one group being copies of one source and so not
independent; `ood_probabilities` and `ood_logits` (members, K, classes) of out-of-distribution rows, and
`ood_families` (K,), the data set each of these comes from.
"""

from collections.abc import Collection, Mapping
from dataclasses import InitVar, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascade.array_files import AnyArray, opened_arrays, save_arrays, taken
from cascade.chunks import map_rows
from cascade.errors import FormatError
from cascade.scores import OutputKind, softmax
from cascade.scores_checks import (
    check_labels,
    check_length,
    check_positive,
    check_shape,
    check_values,
    check_vector,
)

FORMAT_VERSION = 1
REQUIRED = ("labels", "names", "macs")
OUTPUTS = ("logits", "probabilities", "ood_logits", "ood_probabilities")
DEFAULT_FAMILY = "ood"
UNLABELLED = -1


@dataclass(frozen=True, kw_only=True)
class ScoresFile:
    """`outputs` is `(members, N, classes)`, logits or probabilities as `kind` says.

    `ood_outputs` `(members, K, classes)` is of the same kind, and `ood_families` names the data set of
    each of its rows (one family, "ood", where none is given). `seconds` are measured, per row of each
    member. `is_checked` spares the look at every value: it is for rows of outputs that were checked. Rows of
    no known class have the label `UNLABELLED`, and are not `is_labelled`.
    """

    outputs: NDArray[np.floating]
    kind: OutputKind
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    macs: tuple[float, ...]
    sha256: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    ood_outputs: NDArray[np.floating] | None = None
    ood_families: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()
    is_labelled: bool = True
    is_checked: InitVar[bool] = False

    def __post_init__(self, is_checked: bool) -> None:
        self._check_rows()
        self._check_members()
        self._check_ood()
        if is_checked:
            return
        check_values(self.kind, self.outputs, self.kind)
        if self.is_labelled:
            check_labels(self.labels, self.num_classes)
        if self.ood_outputs is not None:
            check_values(f"ood_{self.kind}", self.ood_outputs, self.kind)

    def _check_rows(self) -> None:
        check_shape(self.kind, self.outputs)
        check_vector("labels", self.labels, "iu")
        check_length("labels", len(self.labels), self.kind, self.outputs.shape[1])
        if self.groups is not None:
            check_vector("groups", self.groups, "iu")
            check_length("groups", len(self.groups), "labels", self.num_rows)

    def _check_members(self) -> None:
        members = len(self.outputs)
        for name in ("names", "macs", "sha256", "seconds"):
            entries = getattr(self, name)
            if len(entries) or name in REQUIRED:
                check_length(name, len(entries), self.kind, members)
        if len(set(self.names)) != members:
            raise FormatError(f"names stand twice: {', '.join(self.names)}")
        check_positive("macs", self.macs)
        check_positive("seconds", self.seconds)

    def _check_ood(self) -> None:
        if self.ood_outputs is None:
            if len(self.ood_families):
                raise FormatError(f"ood_families stand without ood_{self.kind}")
            return
        check_shape(f"ood_{self.kind}", self.ood_outputs)
        members, rows, classes = self.ood_outputs.shape
        if (members, classes) != (len(self.outputs), self.num_classes):
            raise FormatError(
                f"ood_{self.kind} has shape {self.ood_outputs.shape}, and {self.kind} is of "
                f"{len(self.outputs)} members and {self.num_classes} classes"
            )
        families = tuple(map(str, self.ood_families)) or (DEFAULT_FAMILY,) * rows
        check_length("ood_families", len(families), f"ood_{self.kind}", rows)
        object.__setattr__(self, "ood_families", families)

    @property
    def num_rows(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        return int(self.outputs.shape[2])

    @property
    def num_ood(self) -> int:
        return 0 if self.ood_outputs is None else int(self.ood_outputs.shape[1])

    @property
    def families(self) -> tuple[str, ...]:
        """The families of OOD rows, each once, in the order of their first rows."""
        return tuple(dict.fromkeys(self.ood_families))

    def member(self, name: str) -> int:
        if name not in self.names:
            raise FormatError(f"no outputs of member {name!r}; there are those of {', '.join(self.names)}")
        return self.names.index(name)

    def rows(self, index: NDArray[np.intp]) -> "ScoresFile":
        """The same members on some of the rows, and on all OOD rows."""
        return replace(
            self,
            outputs=self.outputs[:, index],
            labels=self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            is_checked=True,
        )

    def ood_as_rows(self) -> "ScoresFile":
        """The OOD rows as rows of no known class; FormatError where there is none."""
        if self.ood_outputs is None:
            raise FormatError("there are no OOD rows")
        return replace(
            self,
            outputs=self.ood_outputs,
            labels=np.full(self.num_ood, UNLABELLED),
            is_labelled=False,
            groups=None,
            ood_outputs=None,
            ood_families=(),
            is_checked=True,
        )

    def ood_rows(self, index: NDArray[np.intp]) -> "ScoresFile":
        """All rows, and some of the OOD rows."""
        if self.ood_outputs is None:
            return self
        return replace(
            self,
            ood_outputs=self.ood_outputs[:, index] if len(index) else None,
            ood_families=tuple(self.ood_families[row] for row in index),
            is_checked=True,
        )

    def ood_of(self, families: Collection[str]) -> "ScoresFile":
        """All rows, and only the OOD rows of `families`: none where `families` is empty.

        FormatError names the families that are not there, and those that are.
        """
        unknown = sorted(set(families) - set(self.families))
        if unknown:
            there = ", ".join(self.families) or "none"
            raise FormatError(f"no OOD rows of family {', '.join(map(repr, unknown))}; there are: {there}")
        return self.ood_rows(np.flatnonzero([family in families for family in self.ood_families]))


def read_scores(path: Path, *, labelled: bool = True) -> ScoresFile:
    """Read and check an `.npz` or a folder; FormatError names the file, the array and the rows.

    Where it need not be `labelled`, the array labels may be absent.
    """
    with opened_arrays(path, mapped=OUTPUTS) as arrays:
        try:
            return _from_arrays(arrays, labelled)
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from None


def write_scores(path: Path, scores: ScoresFile) -> None:
    """Write an `.npz`, or a folder where `path` has no such suffix; FormatError where `path` is taken.

    Probabilities stand beside logits, for readers that know no logits.
    """
    arrays: dict[str, AnyArray] = {
        "format_version": np.array(FORMAT_VERSION),
        **_outputs_by_name("", scores.outputs, scores.kind),
        "labels": scores.labels,
        "names": np.array(scores.names),
        "macs": np.array(scores.macs, np.float64),
    }
    if scores.sha256:
        arrays["sha256"] = np.array(scores.sha256)
    if scores.seconds:
        arrays["seconds"] = np.array(scores.seconds, np.float64)
    if scores.groups is not None:
        arrays["groups"] = scores.groups
    if scores.ood_outputs is not None:
        arrays |= _outputs_by_name("ood_", scores.ood_outputs, scores.kind)
        arrays["ood_families"] = np.array(scores.ood_families)
    save_arrays(path, arrays)


def _outputs_by_name(prefix: str, outputs: NDArray[np.floating], kind: OutputKind) -> dict[str, AnyArray]:
    kept = {f"{prefix}{kind}": outputs.astype(np.float32, copy=False)}
    return kept | ({f"{prefix}probabilities": _probabilities(outputs)} if kind == "logits" else {})


def _probabilities(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    made = np.empty(logits.shape, np.float32)

    def fill(rows: slice) -> None:
        for member, into in zip(logits, made, strict=True):
            into[rows] = softmax(member[rows])

    for _ in map_rows(fill, *logits.shape[1:]):
        pass
    return made


def _from_arrays(arrays: Mapping[str, AnyArray], labelled: bool) -> ScoresFile:
    _check_version(arrays)
    required = REQUIRED if labelled else REQUIRED[1:]
    missing = [name for name in required if name not in arrays]
    if missing:
        raise FormatError(f"arrays are missing: {', '.join(missing)}")
    kind: OutputKind = "logits" if "logits" in arrays else "probabilities"
    if kind not in arrays:
        raise FormatError("neither logits nor probabilities are there")
    groups = _vector(arrays, "groups", "iu")
    outputs = taken(arrays, kind)
    return ScoresFile(
        outputs=outputs,
        kind=kind,
        labels=_labels(arrays, outputs),
        is_labelled="labels" in arrays,
        names=tuple(_vector(arrays, "names", "U").tolist()),
        macs=tuple(_vector(arrays, "macs", "fiu").astype(np.float64).tolist()),
        sha256=tuple(_vector(arrays, "sha256", "U").tolist()),
        groups=groups.astype(np.int64) if "groups" in arrays else None,
        ood_outputs=_ood_outputs(arrays, kind),
        ood_families=tuple(_vector(arrays, "ood_families", "U").tolist()),
        seconds=tuple(_vector(arrays, "seconds", "fiu").astype(np.float64).tolist()),
    )


def _labels(arrays: Mapping[str, AnyArray], outputs: AnyArray) -> NDArray[np.int64]:
    if "labels" in arrays:
        return _vector(arrays, "labels", "iu").astype(np.int64)
    return np.full(outputs.shape[1] if outputs.ndim == 3 else 0, UNLABELLED)


def _check_version(arrays: Mapping[str, AnyArray]) -> None:
    version = taken(arrays, "format_version") if "format_version" in arrays else np.array(FORMAT_VERSION)
    if version.shape != () or version.dtype.kind not in "iu" or int(version) != FORMAT_VERSION:
        raise FormatError(f"format_version {str(version)[:40]} is unknown; this reads {FORMAT_VERSION}")


def _vector(arrays: Mapping[str, AnyArray], name: str, codes: str) -> AnyArray:
    """An array of one dimension, empty where there is none of that name."""
    if name not in arrays:
        return np.zeros(0)
    array = taken(arrays, name)
    check_vector(name, array, codes)
    return array


def _ood_outputs(arrays: Mapping[str, AnyArray], kind: OutputKind) -> NDArray[np.floating] | None:
    """OOD rows are compared with the others, so they must be of the same kind."""
    name = f"ood_{kind}"
    if name in arrays:
        return taken(arrays, name)
    foreign = next((other for other in OUTPUTS if other.startswith("ood_") and other in arrays), None)
    if foreign is not None:
        raise FormatError(f"{name} is missing: {foreign} cannot be judged beside {kind}")
    return None
