"""A run as training left it, read and checked without torch: whatever is wrong shows in a second."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.cascade_file import TensorSpec, check_name
from cascade.fields import Fields, number, read_json, strings
from cascade.fitting.fit import MIN_ROWS
from export.errors import RunError

FORMAT_VERSION = 1
PARTIAL = ".partial"
"""What a run's folder is called in addition while it is being trained."""

DATATYPE = "UINT8"
"""Models of `training` take raw pixels, and normalise inside."""


@dataclass(frozen=True, kw_only=True)
class RunMember:
    """A trained member; `macs` is per row."""

    folder: Path
    macs: float


@dataclass(frozen=True, kw_only=True)
class CalibrationRows:
    """`images` uint8 (N, H, W, C), `labels` int64 (N,); rows of one of `groups` (N,) share a source."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Run:
    """`dataset` and `versions` are told on as they stand."""

    name: str
    dataset: Mapping[str, Any]
    versions: Mapping[str, Any]
    classes: tuple[str, ...]
    input: TensorSpec
    members: tuple[RunMember, ...]
    calibration: CalibrationRows


def read_run(folder: Path) -> Run:
    """RunError or FormatError names the file and what is wrong with it."""
    if not folder.is_dir() or folder.suffix == PARTIAL:
        raise RunError(_missing(folder))
    fields = _versioned(folder / "run.json")
    classes = strings(fields.take("classes", list), f"{fields.where}: classes")
    spec = _read_input(fields)
    return Run(
        name=fields.take("name", str),
        dataset=fields.take("dataset", dict),
        versions=fields.take("versions", dict),
        classes=classes,
        input=spec,
        members=_read_members(folder, fields, spec, len(classes)),
        calibration=_read_rows(folder / "splits" / "calibration.npz", spec, len(classes)),
    )


def _missing(folder: Path) -> str:
    run = folder.with_name(folder.name.removesuffix(PARTIAL))
    if run.with_name(f"{run.name}{PARTIAL}").is_dir():
        return f"{folder}: its training is unfinished: python -m training --resume --out {run}"
    return f"{folder}: no such run"


def _versioned(path: Path) -> Fields:
    """Keys that are not asked for are left alone: later trainings may add some."""
    fields = Fields(read_json(path), str(path))
    fields.version(FORMAT_VERSION)
    return fields


def _read_input(fields: Fields) -> TensorSpec:
    where = f"{fields.where}: input"
    given = Fields(fields.take("input", dict), where)
    shape = tuple(given.take("shape", list))
    if len(shape) != 4 or not all(type(extent) is int for extent in shape) or min(shape[1:]) < 1:
        raise RunError(f"{where}: shape {list(shape)} is not of the form [-1, H, W, C]")
    spec = TensorSpec(name=given.take("name", str), datatype=given.take("datatype", str), shape=shape)
    if spec.datatype != DATATYPE:
        raise RunError(f"{where}: datatype {spec.datatype!r} is not {DATATYPE}")
    return spec


def _read_members(folder: Path, fields: Fields, spec: TensorSpec, num_classes: int) -> tuple[RunMember, ...]:
    names = strings(fields.take("members", list), f"{fields.where}: members")
    if not names or len(set(names)) != len(names):
        raise RunError(f"{fields.where}: members {list(names)} must be one or more different names")
    for name in names:
        check_name(name)
    return tuple(_read_member(folder / name, spec, num_classes) for name in names)


def _read_member(folder: Path, spec: TensorSpec, num_classes: int) -> RunMember:
    fields = _versioned(folder / "member.json")
    model = Fields(fields.take("model", dict), f"{fields.where}: model")
    shape = (-1, *(model.take(key, int) for key in ("height", "width", "channels")))
    if shape != spec.shape:
        raise RunError(f"{fields.where}: takes {list(shape)}, and the run's input is {list(spec.shape)}")
    outputs = model.take("num_classes", int)
    if outputs != num_classes:
        raise RunError(f"{fields.where}: gives {outputs} classes, and the run has {num_classes}")
    macs = number(fields.take("macs", (int, float)), f"{fields.where}: macs")
    if macs <= 0:
        raise RunError(f"{fields.where}: macs must be above 0, got {macs:g}")
    if not (folder / "model.safetensors").is_file():
        raise RunError(f"{folder / 'model.safetensors'}: no such file")
    return RunMember(folder=folder, macs=macs)


def _read_rows(path: Path, spec: TensorSpec, num_classes: int) -> CalibrationRows:
    arrays = _load(path)
    missing = [name for name in (spec.name, "labels", "groups", "format_version") if name not in arrays]
    if missing:
        raise RunError(f"{path}: arrays are missing: {', '.join(missing)}")
    found = arrays["format_version"]
    if found.shape != ():
        raise RunError(f"{path}: format_version is an array of shape {found.shape}, not a number")
    if found != FORMAT_VERSION:
        raise RunError(f"{path}: format_version {found} is unknown; this reads {FORMAT_VERSION}")
    images, labels, groups = arrays[spec.name], arrays["labels"], arrays["groups"]
    _check_rows(path, spec, images, labels, groups, num_classes)
    return CalibrationRows(images=images, labels=labels.astype(np.int64), groups=groups.astype(np.int64))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise RunError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: not a split ({error})") from None


def _check_rows(
    path: Path,
    spec: TensorSpec,
    images: NDArray[Any],
    labels: NDArray[Any],
    groups: NDArray[Any],
    num_classes: int,
) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != spec.shape[1:]:
        raise RunError(f"{path}: {spec.name} is {images.dtype} {images.shape}, not uint8 {spec.shape}")
    for name, array in (("labels", labels), ("groups", groups)):
        if array.shape != (len(images),) or array.dtype.kind not in "iu":
            raise RunError(f"{path}: {name} is {array.dtype} {array.shape}, not ({len(images)},) integers")
    if len(images) < MIN_ROWS:
        raise RunError(f"{path}: {len(images)} rows are too few to fit on; at least {MIN_ROWS} are needed")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise RunError(f"{path}: labels lie outside 0..{num_classes - 1}")
    if (groups == groups[0]).all():
        raise RunError(f"{path}: the rows form a single group, which cannot be divided for fitting")
