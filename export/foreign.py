"""ONNX files that were there already, as members: read and checked without torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from cascade.cascade_file import TensorSpec
from cascade.scores import OutputKind
from export.check import BATCH_SIZE
from export.errors import ModelError, RowsError, SettingsError, naming
from export.inference import classifier_of, open_session
from export.macs import count_macs
from export.onnx_file import check_versions, read_onnx
from export.onnx_signature import read_inputs, read_output
from export.rows import Outputs, Rows, load_arrays, read_rows, run_over
from export.signature import MemberSignature
from export.source import LoadedModel, Source

CLASSES = "classes"
"""In a samples file: the names of the classes, in the order of the outputs."""

RESERVED = ("labels", "groups", CLASSES, "format_version")
SUM_TOLERANCE = 1e-3
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class ForeignSettings:
    """`classes` empty: those of the samples file, or numbers. `output` empty: the one that can be it.

    `macs`, one a model and in any unit that is the same for all, replaces what can be counted in the graphs.
    """

    models: tuple[Path, ...]
    samples: Path
    classes: tuple[str, ...] = ()
    output: str = ""
    output_kind: str = AUTO
    macs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.output_kind not in (AUTO, "logits", "probabilities"):
            raise SettingsError(f"output_kind {self.output_kind!r} is none of auto, logits, probabilities")
        if self.macs and len(self.macs) != len(self.models):
            raise SettingsError(f"macs: {len(self.macs)} given, and there are {len(self.models)} models")
        if not all(0 < macs < float("inf") for macs in self.macs):
            raise SettingsError("macs must be finite numbers above 0")


@dataclass(frozen=True, kw_only=True)
class ForeignMember:
    """An ONNX file as it stands."""

    path: Path
    content: bytes
    macs: float
    signature: MemberSignature

    def load(self) -> LoadedModel:
        return LoadedModel(
            content=self.content, reference=classifier_of(open_session(self.content), self.signature)
        )


def read_models(settings: ForeignSettings) -> Source:
    """ModelError names the file and says why it cannot be a member, RowsError what is wrong with the rows."""
    drafts = [_read_draft(path, settings.output) for path in settings.models]
    inputs = _common_inputs(drafts)
    classes = _classes(settings, drafts)
    rows = read_rows(settings.samples, inputs, len(classes))
    macs: Sequence[float | None] = settings.macs or [None] * len(drafts)
    members = tuple(
        _member(draft, inputs, len(classes), rows, settings.output_kind, given)
        for draft, given in zip(drafts, macs, strict=True)
    )
    return Source(
        name=", ".join(path.name for path in settings.models),
        inputs=inputs,
        classes=classes,
        members=members,
        rows=rows,
        provenance={
            "models": [
                {"file": member.path.name, "sha256": sha256(member.content).hexdigest()} for member in members
            ],
            "samples": settings.samples.name,
        },
    )


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """What a file says of itself; `num_classes` is 0 where it does not say."""

    path: Path
    content: bytes
    inputs: tuple[TensorSpec, ...]
    output: str
    output_datatype: str
    num_classes: int


def _read_draft(path: Path, output: str) -> _Draft:
    with naming(path, ModelError):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot be read ({error.strerror})") from None
        model = read_onnx(content)
        check_versions(model)
        inputs = read_inputs(model)
        for spec in inputs:
            if spec.name in RESERVED:
                raise ModelError(f"input {spec.name!r} has a name that samples keep for something else")
        name, datatype, num_classes = read_output(model, output)
    return _Draft(
        path=path,
        content=content,
        inputs=inputs,
        output=name,
        output_datatype=datatype,
        num_classes=num_classes,
    )


def _common_inputs(drafts: Sequence[_Draft]) -> tuple[TensorSpec, ...]:
    """Those of the first model; an extent that any model fixes is fixed for all."""
    inputs = drafts[0].inputs
    for draft in drafts[1:]:
        inputs = tuple(_common(spec, _counterpart(spec, draft, drafts[0]), draft) for spec in inputs)
    return inputs


def _counterpart(spec: TensorSpec, draft: _Draft, first: _Draft) -> TensorSpec:
    """By name, or the only one there is."""
    if len(draft.inputs) == len(first.inputs) == 1:
        return draft.inputs[0]
    by_name = {other.name: other for other in draft.inputs}
    if by_name.keys() != {other.name for other in first.inputs}:
        raise ModelError(
            f"{draft.path}: takes inputs {', '.join(by_name)}, and {first.path} takes "
            f"{', '.join(other.name for other in first.inputs)}; members of a cascade take the same"
        )
    return by_name[spec.name]


def _common(spec: TensorSpec, other: TensorSpec, draft: _Draft) -> TensorSpec:
    pairs = list(zip(spec.shape, other.shape, strict=False))
    fits = len(spec.shape) == len(other.shape) and all(-1 in pair or pair[0] == pair[1] for pair in pairs)
    if not fits or spec.datatype != other.datatype:
        raise ModelError(
            f"{draft.path}: takes {other.name!r} as {other.datatype} {list(other.shape)}, and the models "
            f"before it take {spec.datatype} {list(spec.shape)}"
        )
    return replace(spec, shape=tuple(max(pair) for pair in pairs))


def _classes(settings: ForeignSettings, drafts: Sequence[_Draft]) -> tuple[str, ...]:
    """Names from the user, else from the samples, else numbers. A file that says how many must agree."""
    said = next((draft.num_classes for draft in drafts if draft.num_classes), 0)
    names = settings.classes or _names_in(settings.samples)
    classes = names or tuple(map(str, range(said)))
    if not classes:
        raise SettingsError("no model says how many classes there are: name them (--classes)")
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise SettingsError(f"classes must be 2 or more different names, got {', '.join(classes)[:200]}")
    for draft in drafts:
        if draft.num_classes not in (0, len(classes)):
            raise ModelError(
                f"{draft.path}: output {draft.output!r} has {draft.num_classes} columns, and there are "
                f"{len(classes)} classes"
            )
    return classes


def _names_in(samples: Path) -> tuple[str, ...]:
    names = load_arrays(samples).get(CLASSES)
    if names is None:
        return ()
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise RowsError(f"{samples}: {CLASSES} is {names.dtype} {list(names.shape)}, not a list of names")
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist())


def _member(
    draft: _Draft, inputs: Sequence[TensorSpec], num_classes: int, rows: Rows, kind: str, macs: float | None
) -> ForeignMember:
    names = {spec.name: spec.name for spec in inputs}
    if len(inputs) == 1:
        names = {inputs[0].name: draft.inputs[0].name}
    signature = MemberSignature(
        inputs=draft.inputs,
        names=names,
        num_classes=num_classes,
        output=draft.output,
        output_datatype=draft.output_datatype,
    )
    with naming(draft.path, ModelError):
        outputs = _try(draft, signature, rows)
        signature = replace(signature, output_kind=_kind(draft.output, outputs, kind))
        counted = count_macs(draft.content, rows, signature) if macs is None else macs
    return ForeignMember(path=draft.path, content=draft.content, macs=counted, signature=signature)


def _try(draft: _Draft, signature: MemberSignature, rows: Rows) -> Outputs:
    """Outputs on some rows, seen to be those of a classifier."""
    num_rows = min(BATCH_SIZE, len(rows))
    outputs = run_over(classifier_of(open_session(draft.content), signature), rows, BATCH_SIZE, num_rows)
    if outputs.ndim != 2 or len(outputs) != num_rows or outputs.shape[1] != signature.num_classes:
        raise ModelError(
            f"is no classifier of {signature.num_classes} classes: output {draft.output!r} has shape "
            f"{list(outputs.shape)} for {num_rows} rows"
        )
    if not np.isfinite(outputs).all():
        raise ModelError(f"output {draft.output!r} holds values that are no finite numbers")
    return outputs


def _kind(name: str, outputs: Outputs, kind: str) -> OutputKind:
    """Rows of numbers from 0 on that add up to 1 are probabilities; no logits look like this by chance."""
    are_probabilities = bool(
        (outputs >= 0).all() and (np.abs(outputs.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE).all()
    )
    if kind == "logits":
        return "logits"
    if kind == "probabilities" and not are_probabilities:
        raise ModelError(f"output {name!r} does not hold probabilities: its rows do not add up to 1")
    return "probabilities" if are_probabilities else "logits"
