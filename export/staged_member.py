"""One member: converted, written to the staging folder, and checked against its model."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cascade.cascade_file import MODEL_FILES, Member
from cascade.runtime import ServiceCurve
from export.check import BATCH_SIZE, Differences, measure
from export.inference import classifier_of, open_session
from export.plan import Plan, PlannedMember
from export.precision import convert
from export.repository import CONFIG
from export.rows import Classifier, Outputs
from export.signature import MemberSignature
from export.source import LoadedModel
from export.triton.config import config_text
from export.triton.warm_up import warm_up_of

PYTHON_MODEL = Path(__file__).parent / "python_backend" / "model.py"
"""What Triton's Python backend runs: the same ONNX file, by ONNX Runtime."""

SCRIPTS = "scripts"
"""In a cascade's provenance: sha256 of each script beside a member, by its place in the repository."""


@dataclass(frozen=True, kw_only=True)
class StagedMember:
    """`outputs` (N, classes) are those of the file on the calibration rows; `file` is where it lies for now.

    A member whose bytes are published already `is_new` no more, and keeps its version.
    """

    name: str
    version: int
    is_new: bool
    sha256: str
    macs: float
    signature: MemberSignature
    format: str
    precision: str
    file: Path
    differences: Differences
    outputs: Outputs

    @property
    def newest_before(self) -> int:
        """The newest version there was when this one got its number; 0 for none."""
        return self.version - 1 if self.is_new else self.version

    def to_cascade(self, curve: ServiceCurve | None) -> Member:
        return Member(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            macs=self.macs,
            output=self.signature.output,
            output_kind=self.signature.output_kind,
            inputs=self.signature.names,
            format=self.format,
            precision=self.precision,
            service_curve=curve,
        )


def stage_member(plan: Plan, member: PlannedMember, model: LoadedModel, folder: Path) -> StagedMember:
    """Write the model where it is new, and measure it."""
    content = _content(plan, member, model)
    digest = sha256(content).hexdigest()
    script = PYTHON_MODEL if plan.settings.backend == "python" else None
    version, is_new = plan.repository.place(member.name, digest, script)
    place = folder if is_new else plan.repository.folder
    file = place / member.name / str(version) / MODEL_FILES[plan.settings.format]
    (folder / member.name).mkdir()
    if is_new:
        _write_version(file, content, script)
    exported = _exported(file, member.source.signature, plan.settings.format)
    batch_size = min(BATCH_SIZE, plan.settings.triton.max_batch_size)
    differences, outputs = measure(model.reference, exported, plan.source.rows, batch_size)
    differences.check_within(plan.settings.bounds(member.precision))
    return StagedMember(
        name=member.name,
        version=version,
        is_new=is_new,
        sha256=digest,
        macs=member.source.macs,
        signature=member.source.signature,
        format=plan.settings.format,
        precision=member.precision,
        file=file,
        differences=differences,
        outputs=outputs,
    )


def _content(plan: Plan, member: PlannedMember, model: LoadedModel) -> bytes:
    rows, signature = plan.source.rows, member.source.signature
    content = convert(model.content, member.precision, rows, signature)
    if plan.settings.format == "onnx":
        return content
    from export.tensorrt import build_plan

    return build_plan(content, signature, rows, plan.settings.triton.max_batch_size, member.precision)


def _exported(file: Path, signature: MemberSignature, file_format: str) -> Classifier:
    if file_format == "onnx":
        return classifier_of(open_session(file), signature)
    from export.tensorrt import classifier_of_plan

    return classifier_of_plan(file, signature)


def _write_version(file: Path, content: bytes, script: Path | None) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    if script is not None:
        shutil.copyfile(script, file.parent / script.name)


def write_configs(plan: Plan, members: Mapping[str, StagedMember], folder: Path) -> None:
    """`config.pbtxt` of each member, and the row it is warmed up with."""
    triton = plan.settings.triton
    for name, member in members.items():
        warm_up = warm_up_of(plan.source.rows, member.signature) if triton.is_warmed_up else None
        if warm_up is not None:
            warm_up.write(folder / name)
        text = config_text(
            name,
            member.signature,
            triton,
            backend=plan.settings.backend,
            precision=member.precision,
            warm_up=warm_up,
        )
        (folder / name / CONFIG).write_text(text, encoding="utf-8")
