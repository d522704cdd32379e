"""A run as training left it, read and checked without torch: whatever is wrong shows in a second."""

from dataclasses import dataclass
from pathlib import Path

from cascade.cascade_file import TensorSpec, check_name
from cascade.fields import Fields, number, read_json, strings
from export.errors import RunError
from export.rows import read_rows
from export.signature import MemberSignature, plain_signature
from export.source import LoadedModel, Source

FORMAT_VERSION = 1
PARTIAL = ".partial"
"""What a run's folder is called in addition while it is being trained."""

DATATYPE = "UINT8"
"""Models of `training` take raw pixels, and normalise inside."""


@dataclass(frozen=True, kw_only=True)
class RunMember:
    """A trained member; `macs` is per row, without a resizing that comes before it."""

    folder: Path
    macs: float
    signature: MemberSignature
    is_resized: bool

    def load(self) -> LoadedModel:
        from export.torch_member import load_torch_member

        return load_torch_member(self.folder, self.signature, is_resized=self.is_resized)


def read_run(folder: Path, *, is_resized: bool = False) -> Source:
    """RunError, RowsError or FormatError names the file and what is wrong with it.

    `is_resized`: members take images of any height and width, and resize them.
    """
    if not folder.is_dir() or folder.suffix == PARTIAL:
        raise RunError(_missing(folder))
    fields = _versioned(folder / "run.json")
    classes = strings(fields.take("classes", list), f"{fields.where}: classes")
    spec = _read_input(fields)
    wire = (
        TensorSpec(name=spec.name, datatype=spec.datatype, shape=_any_size(spec.shape))
        if is_resized
        else spec
    )
    signature = plain_signature((wire,), len(classes))
    name, dataset = fields.take("name", str), fields.take("dataset", dict)
    return Source(
        name=name,
        inputs=(wire,),
        classes=classes,
        members=_read_members(folder, fields, spec, signature, is_resized),
        rows=read_rows(folder / "splits" / "calibration.npz", (spec,), len(classes)),
        provenance={
            "run": name,
            # Where a data set lay is the trainer's own business, and no news to anyone else.
            "dataset": {key: value for key, value in dataset.items() if key != "data_root"},
            "training_versions": fields.take("versions", dict),
        },
    )


def _any_size(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (-1, -1, -1, shape[3])


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


def _read_members(
    folder: Path, fields: Fields, spec: TensorSpec, signature: MemberSignature, is_resized: bool
) -> tuple[RunMember, ...]:
    names = strings(fields.take("members", list), f"{fields.where}: members")
    if not names or len(set(names)) != len(names):
        raise RunError(f"{fields.where}: members {list(names)} must be one or more different names")
    for name in names:
        check_name(name)
    return tuple(
        RunMember(
            folder=folder / name,
            macs=_read_macs(folder / name, spec, signature.num_classes),
            signature=signature,
            is_resized=is_resized,
        )
        for name in names
    )


def _read_macs(folder: Path, spec: TensorSpec, num_classes: int) -> float:
    """After the member has been seen to be one of this run."""
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
    return macs
